// What every page has: times in the reader's own zone, and states that are looked after.
"use strict";
(() => {
    const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    for (const time of document.querySelectorAll("time[datetime]")) {
        const moment = new Date(time.dateTime);
        if (!Number.isNaN(moment.getTime())) {
            time.title = time.textContent;
            time.textContent = shown.format(moment);
        }
    }
    for (const element of document.querySelectorAll("[data-watch]")) {
        const watch = async () => {
            const answer = await fetch(element.dataset.watch, { headers: { accept: "application/json" } });
            if (!answer.ok) return;
            const state = (await answer.json()).state;
            if (state !== element.dataset.state) location.reload();
            else if (state === "approved" || state === "waiting") setTimeout(watch, 1000);
        };
        watch();
    }
})();
