// Secrets that never leave the browser: contexts protected by one, and their sealing to a machine's key.
// docs/formats/protected.md and docs/formats/pairing.md have the layouts.
"use strict";
(() => {
    const text = new TextEncoder();
    const ITERATIONS = 600000;
    const base64 = (bytes) => btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
    const unbase64 = (letters) => Uint8Array.from(atob(letters), (c) => c.charCodeAt(0));
    const base64url = (bytes) => base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const unbase64url = (letters) => unbase64(letters.replaceAll("-", "+").replaceAll("_", "/"));

    async function key(secret, salt, iterations) {
        const raw = await crypto.subtle.importKey("raw", text.encode(secret), "PBKDF2", false, ["deriveKey"]);
        const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
        return crypto.subtle.deriveKey(how, raw, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    }

    async function protect(content, secret) {
        const salt = crypto.getRandomValues(new Uint8Array(16));
        const nonce = crypto.getRandomValues(new Uint8Array(12));
        const by = await key(secret, salt, ITERATIONS);
        const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, by, text.encode(content));
        return JSON.stringify({
            "varve-protected": 1, iterations: ITERATIONS, salt: base64(salt), nonce: base64(nonce), data: base64(data),
        });
    }

    async function open(content, secret) {
        const sealed = JSON.parse(content);
        if (sealed["varve-protected"] !== 1 || sealed.iterations > 10000000) throw new Error("unknown");
        const by = await key(secret, unbase64(sealed.salt), sealed.iterations);
        const data = await crypto.subtle.decrypt({ name: "AES-GCM", iv: unbase64(sealed.nonce) }, by, unbase64(sealed.data));
        return new TextDecoder().decode(data);
    }

    async function seal(content, machine) {
        const curve = { name: "ECDH", namedCurve: "P-256" };
        const point = unbase64url(machine);
        const theirs = await crypto.subtle.importKey("raw", point, curve, false, []);
        const own = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
        const ephemeral = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
        const shared = await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, own.privateKey, 256);
        const raw = await crypto.subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]);
        const purpose = text.encode("varve-pairing-1");
        const info = new Uint8Array(purpose.length + ephemeral.length + point.length);
        info.set(purpose);
        info.set(ephemeral, purpose.length);
        info.set(point, purpose.length + ephemeral.length);
        const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
        const by = await crypto.subtle.deriveKey(how, raw, { name: "AES-GCM", length: 256 }, false, ["encrypt"]);
        const data = await crypto.subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, by, text.encode(content));
        return JSON.stringify({ ephemeral: base64url(ephemeral), data: base64url(data) });
    }

    // A protected context is opened where it is shown.
    for (const place of document.querySelectorAll(".opening")) {
        const secret = place.querySelector("input[type=password]");
        const button = place.querySelector("button");
        const show = async () => {
            button.disabled = true;
            try {
                const content = await open(place.dataset.content, secret.value);
                if (place.dataset.into) {
                    const into = document.getElementById(place.dataset.into);
                    into.value = content;
                    into.dispatchEvent(new Event("input"));
                    const again = document.getElementById("protect");
                    if (again) again.value = secret.value;
                    place.hidden = true;
                } else {
                    const pre = place.querySelector("pre");
                    pre.textContent = content;
                    pre.hidden = false;
                }
                secret.setCustomValidity("");
            } catch {
                secret.setCustomValidity("The secret doesn't open this context.");
                secret.reportValidity();
            }
            button.disabled = false;
        };
        button.addEventListener("click", show);
        secret.addEventListener("input", () => secret.setCustomValidity(""));
        secret.addEventListener("keydown", (event) => {
            if (event.key === "Enter") { event.preventDefault(); show(); }
        });
    }

    // What is saved with a secret is encrypted first.
    for (const form of document.querySelectorAll("form.editing")) {
        const secret = form.querySelector("#protect");
        const problem = form.querySelector(".protection-problem");
        const closed = form.querySelector(".opening");
        form.addEventListener("submit", async (event) => {
            if (closed && !closed.hidden && !form.content.value.trim()) {
                event.preventDefault();
                problem.textContent = "Open the context first, or write another one.";
                problem.hidden = false;
                return;
            }
            if (!secret.value || form.dataset.ready) return;
            event.preventDefault();
            const sent = document.createElement("input");
            sent.type = "hidden";
            sent.name = "content";
            sent.value = await protect(form.content.value, secret.value);
            form.content.removeAttribute("name");
            form.append(sent);
            form.dataset.ready = "yes";
            form.requestSubmit(event.submitter);
        });
    }

    // A machine gets a protected context out of this browser.
    for (const form of document.querySelectorAll("form[data-machine-key]")) {
        const choice = form.querySelector("select[name=context]");
        if (!choice) continue;
        const place = form.querySelector(".secret");
        const secret = form.querySelector("#secret");
        const isProtected = () => choice.selectedOptions[0]?.hasAttribute("data-protected");
        const look = () => {
            place.hidden = !isProtected();
            secret.required = Boolean(isProtected());
        };
        choice.addEventListener("change", look);
        secret.addEventListener("input", () => secret.setCustomValidity(""));
        look();
        form.addEventListener("submit", async (event) => {
            const approve = event.submitter?.value === "approve";
            if (!approve || !isProtected() || form.sealed.value) return;
            event.preventDefault();
            const answer = await fetch(`/api/v1/contexts/${encodeURIComponent(choice.value)}/content`);
            try {
                const content = await open(await answer.text(), secret.value);
                form.sealed.value = await seal(content, form.dataset.machineKey);
                form.requestSubmit(event.submitter);
            } catch {
                secret.setCustomValidity("The secret doesn't open this context.");
                secret.reportValidity();
            }
        });
        const refuse = form.querySelector("button[value=deny]");
        refuse.formNoValidate = true;
    }
})();
