// A form made of the JSON schema of documents. What is set becomes values; what is left empty is not there.
"use strict";
window.varveForm = (root, changed) => {
    let schema = null;
    let values = {};
    let number = 0;

    const element = (name, properties = {}, ...children) => {
        const made = Object.assign(document.createElement(name), properties);
        made.append(...children);
        return made;
    };
    const resolved = (node) => {
        let found = node;
        while (found?.$ref) {
            const target = schema.$defs[found.$ref.split("/").pop()];
            found = { ...target, description: found.description ?? target.description };
        }
        const choices = found?.anyOf ?? found?.oneOf;
        if (choices && !choices.every((one) => "const" in one)) {
            const real = choices.filter((one) => one.type !== "null").map(resolved);
            const plain = real.find((one) => typeOf(one) === "string") ?? real[0];
            return { ...plain, description: found.description ?? plain.description, choices: real };
        }
        return found;
    };
    const typeOf = (node) => [node.type].flat().find((type) => type && type !== "null");
    const options = (node) => node.enum ?? node.oneOf?.map((one) => one.const);
    const isEmpty = (value) => value === undefined || value === null || value === "" ||
        (Array.isArray(value) ? value.length === 0 : typeof value === "object" && Object.keys(value).length === 0);
    const title = (name) => {
        const words = name.replaceAll("-", " ").replaceAll("_", " ");
        return words.charAt(0).toUpperCase() + words.slice(1);
    };

    let timer = 0;
    const note = () => {
        clearTimeout(timer);
        timer = setTimeout(() => changed(cleaned(values) ?? {}), 400);
    };
    // Without what is empty, which would say something else than nothing.
    const cleaned = (value) => {
        if (Array.isArray(value)) return value.map(cleaned).filter((one) => one !== undefined);
        if (value !== null && typeof value === "object") {
            const kept = Object.entries(value).map(([name, one]) => [name, cleaned(one)]).filter(([, one]) => !isEmpty(one));
            return kept.length ? Object.fromEntries(kept) : undefined;
        }
        return value === "" || value === null ? undefined : value;
    };

    function help(node, input) {
        if (!node.description) return [];
        const text = element("p", { className: "help", id: `${input.id}-help`, textContent: node.description });
        input.setAttribute("aria-describedby", text.id);
        return [text];
    }

    function leaf(name, node, value, set) {
        const id = `field-${++number}`;
        const type = typeOf(node);
        const choices = options(node);
        let input;
        if (choices || type === "boolean") {
            const all = choices ?? ["true", "false"];
            input = element("select", { id }, element("option", { value: "", textContent: "as it is" }),
                ...all.map((one) => element("option", { value: String(one), textContent: type === "boolean" ? { true: "yes", false: "no" }[one] : one })));
            input.value = value === undefined ? "" : String(value);
            input.addEventListener("change", () => set(input.value === "" ? undefined : type === "boolean" ? input.value === "true" : input.value));
        } else if (typeof value === "object" && value !== null) {
            input = element("input", { id, value: JSON.stringify(value), disabled: true });
            input.title = "Only the text shows this.";
        } else if (type === "integer" || type === "number") {
            input = element("input", { id, type: "number", value: value ?? "", step: type === "integer" ? "1" : "any" });
            if (node.minimum !== undefined) input.min = node.minimum;
            if (node.maximum !== undefined) input.max = node.maximum;
            input.addEventListener("input", () => set(input.value === "" ? undefined : Number(input.value)));
        } else {
            const long = /script|content|certificate|PEM/i.test(`${name} ${node.description ?? ""}`) || String(value ?? "").includes("\n");
            input = element(long ? "textarea" : "input", { id, value: value ?? "", autocomplete: "off", spellcheck: false });
            input.addEventListener("input", () => set(input.value));
        }
        const label = element("label", { htmlFor: id, textContent: title(name) });
        return element("div", {}, label, input, ...help(node, input));
    }

    function list(name, node, value, set) {
        const items = Array.isArray(value) ? value : [];
        const item = resolved(node.items ?? { type: "string" });
        const box = element("fieldset", {}, element("legend", { textContent: title(name) }));
        if (node.description) box.append(element("p", { className: "help", textContent: node.description }));
        const draw = () => {
            box.querySelectorAll(":scope > .row, :scope > button").forEach((old) => old.remove());
            items.forEach((one, at) => {
                const remove = element("button", { type: "button", className: "quiet", textContent: "Remove" });
                remove.setAttribute("aria-label", `Remove ${title(name)} ${at + 1}`);
                remove.addEventListener("click", () => { items.splice(at, 1); set(items); draw(); });
                const body = field(`${at + 1}`, item, one, (value) => { items[at] = value; set(items); });
                box.append(element("div", { className: "row" }, body, remove));
            });
            const add = element("button", { type: "button", className: "quiet", textContent: "Add" });
            add.setAttribute("aria-label", `Add to ${title(name)}`);
            add.addEventListener("click", () => {
                items.push(typeOf(item) === "object" ? {} : "");
                set(items);
                draw();
                box.querySelector(":scope > .row:last-of-type input, :scope > .row:last-of-type select")?.focus();
            });
            box.append(add);
        };
        draw();
        return box;
    }

    function map(name, node, value, set) {
        const entries = Object.entries(value ?? {});
        const box = element("fieldset", {}, element("legend", { textContent: title(name) }));
        if (node.description) box.append(element("p", { className: "help", textContent: node.description }));
        const tell = () => set(Object.fromEntries(entries.filter(([key]) => key)));
        const draw = () => {
            box.querySelectorAll(":scope > .row, :scope > button").forEach((old) => old.remove());
            entries.forEach((entry, at) => {
                const key = element("input", { value: entry[0], placeholder: "name" });
                key.setAttribute("aria-label", "Name");
                const one = element("input", { value: entry[1], placeholder: "value" });
                one.setAttribute("aria-label", "Value");
                const remove = element("button", { type: "button", className: "quiet", textContent: "Remove" });
                key.addEventListener("input", () => { entry[0] = key.value; tell(); });
                one.addEventListener("input", () => { entry[1] = one.value; tell(); });
                remove.addEventListener("click", () => { entries.splice(at, 1); tell(); draw(); });
                box.append(element("div", { className: "row" }, key, one, remove));
            });
            const add = element("button", { type: "button", className: "quiet", textContent: "Add" });
            add.addEventListener("click", () => { entries.push(["", ""]); draw(); });
            box.append(add);
        };
        draw();
        return box;
    }

    function fields(node, value, set) {
        const held = value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
        return Object.entries(node.properties ?? {}).map(([name, property]) =>
            field(name, resolved(property), held[name], (one) => {
                if (one === undefined) delete held[name];
                else held[name] = one;
                set(held);
            }));
    }

    function field(name, node, value, set) {
        const type = typeOf(node);
        if (type === "array") return list(name, node, value, set);
        if (type === "object" && node.properties) {
            const box = element("fieldset", {}, element("legend", { textContent: title(name) }));
            box.append(...fields(node, value, set));
            return box;
        }
        if (type === "object") return map(name, node, value, set);
        return leaf(name, node, value, set);
    }

    function section(name, property) {
        const node = resolved(property);
        const box = element("details", { className: isEmpty(values[name]) ? "" : "set", open: !isEmpty(values[name]) });
        box.append(element("summary", { textContent: title(name) }));
        const set = (value) => {
            if (isEmpty(cleaned(value))) delete values[name];
            else values[name] = value;
            box.classList.toggle("set", name in values);
            note();
        };
        const fill = () => {
            if (box.dataset.filled) return;
            box.dataset.filled = "yes";
            if (node.description) box.append(element("p", { className: "help", textContent: node.description }));
            const type = typeOf(node);
            box.append(...(type === "object" && node.properties ? fields(node, values[name], set) : [field(name, node, values[name], set)]));
        };
        box.addEventListener("toggle", fill);
        if (box.open) fill();
        return box;
    }

    return {
        async show(given) {
            if (given === null) {
                root.replaceChildren(element("p", { className: "empty", textContent:
                    "A form can show documents of Varve's own in TOML that are well formed. Go to the text, and turn legacy user data into a document." }));
                return;
            }
            schema ??= await (await fetch(root.closest(".editor").dataset.schema)).json();
            values = structuredClone(given);
            root.replaceChildren(...Object.entries(schema.properties).map(([name, property]) => section(name, property)));
        },
    };
};
