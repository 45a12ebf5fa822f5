// The editor: what is written is read as a machine would, and shown as a form and as what becomes of it.
"use strict";
(() => {
    const editor = document.querySelector(".editor");
    if (!editor) return;
    const content = document.getElementById("content");
    const notices = editor.querySelector(".notices");
    const mark = document.querySelector("meta[name=csrf]")?.content ?? "";
    const form = window.varveForm(editor.querySelector(".form-body"), async (values) => {
        const written = await ask("/api/v1/document", values);
        if (written) { content.value = written.content; check(); }
    });
    let values = null;

    async function ask(address, body) {
        const headers = { "content-type": "application/json", "x-csrf-token": mark };
        const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
        const said = await answer.json();
        if (answer.ok) return said;
        tell([{ severity: "error", text: said.detail ?? "The hub doesn't answer." }]);
        return null;
    }

    function tell(list) {
        notices.replaceChildren(...list.map(({ severity, text }) => {
            const item = document.createElement("li");
            item.className = severity;
            item.textContent = text;
            return item;
        }));
    }

    function place({ part, line, column }) {
        const words = [];
        if (part) words.push(`part ${part}`);
        if (line) words.push(`line ${line}`);
        if (line && column) words.push(`column ${column}`);
        return words.join(", ");
    }

    let asked = 0;
    async function check() {
        const number = ++asked;
        const said = await ask("/api/v1/check", { content: content.value });
        if (!said || number !== asked) return;
        const list = said.notices.map((notice) => {
            const at = place(notice.place);
            const hint = notice.hint ? ` (${notice.hint})` : "";
            return { severity: notice.severity, text: `${at ? `${at}: ` : ""}${notice.message}${hint}` };
        });
        if (list.length === 0 && said.forms.length > 0) {
            list.push({ severity: "sound", text: said.protected ? "Protected: it can't be checked." : "A machine takes it as it is." });
        }
        tell(list);
        editor.querySelector(".preview").textContent = said.explanation;
        editor.querySelector(".document").textContent = said.document;
        values = said.values;
    }

    let timer = 0;
    content.addEventListener("input", () => {
        clearTimeout(timer);
        timer = setTimeout(check, 300);
    });
    content.addEventListener("keydown", (event) => {
        // Tab leaves the field, as everywhere; Ctrl+] indents.
        if (event.ctrlKey && event.key === "]") {
            event.preventDefault();
            content.setRangeText("    ", content.selectionStart, content.selectionEnd, "end");
        }
    });
    editor.querySelector("[data-do=import]").addEventListener("click", async () => {
        const made = await ask("/api/v1/import", { content: content.value });
        if (made) { content.value = made.content; check(); }
    });

    const tabs = [...editor.querySelectorAll("[role=tab]")];
    async function choose(tab) {
        for (const one of tabs) {
            const chosen = one === tab;
            one.setAttribute("aria-selected", String(chosen));
            one.tabIndex = chosen ? 0 : -1;
            document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
        }
        if (tab.id !== "tab-text") await check();
        if (tab.id === "tab-form") form.show(values);
    }
    for (const tab of tabs) {
        tab.addEventListener("click", () => choose(tab));
        tab.addEventListener("keydown", (event) => {
            const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
            if (!step) return;
            const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
            next.focus();
            choose(next);
        });
    }
    check();
})();
