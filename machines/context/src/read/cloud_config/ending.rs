//! What cloud-config does when everything else is done: `final_message`, `phone_home`, `power_state`.

use crate::document::Document;
use crate::plan::Stage;
use crate::quote;
use crate::sections::scripts::Script;
use crate::text::{Line, Name};
use crate::value::fields::Fields;

pub(super) fn read(fields: &mut Fields<'_, '_>, document: &mut Document) {
    if let Some(message) = fields.text("final_message") {
        // Only the time since the boot is known to a shell.
        let message = message.replace("$UPTIME", "${UPTIME}").replace("${uptime}", "${UPTIME}");
        let parts: Vec<String> = message.split("${UPTIME}").map(quote::shell).collect();
        let body = format!(
            "#!/bin/sh\nread -r up _ < /proc/uptime\nprintf '%s\\n' {} > /dev/console\n",
            parts.join("\"$up\"")
        );
        add(document, "final-message", body);
    }
    if let Some(node) = fields.take("phone_home")
        && let Some(mut inner) = Fields::of(node, "phone_home", fields.notices)
    {
        let address = inner.checked::<Line>("url");
        let tries = inner.number::<u8>("tries").unwrap_or(10).clamp(1, 100);
        inner.without_meaning(&["post"], "the host name and the public host keys are sent");
        let place = inner.place;
        match address.filter(|address| address.starts_with("http://") || address.starts_with("https://")) {
            Some(address) => add(document, "phone-home", phone_home(&address, tries)),
            None => inner.notices.error(place, "phone_home: without an address"),
        }
        inner.finish();
    }
    power_state(fields, document);
}

fn phone_home(address: &str, tries: u8) -> String {
    // The machine's own id is what stands for an instance's.
    let parts: Vec<String> = address.split("$INSTANCE_ID").map(quote::shell).collect();
    let address = parts.join("\"$(cat /etc/machine-id)\"");
    format!(
        "#!/bin/sh\nset -- --data-urlencode \"hostname=$(hostname)\"\nfor key in rsa ecdsa ed25519; do\n    file=/etc/ssh/ssh_host_${{key}}_key.pub\n    \
         [ ! -e \"$file\" ] || set -- \"$@\" --data-urlencode \"pub_key_$key@$file\"\ndone\n\
         curl -fsS --retry {tries} --retry-all-errors --max-time 60 \"$@\" {address}\n"
    )
}

fn power_state(fields: &mut Fields<'_, '_>, document: &mut Document) {
    let Some(node) = fields.take("power_state") else { return };
    let Some(mut inner) = Fields::of(node, "power_state", fields.notices) else { return };
    let place = inner.place;
    let option = match inner.text("mode").as_deref() {
        Some("reboot") => "-r",
        Some("poweroff") => "-P",
        Some("halt") => "-H",
        _ => {
            inner.notices.error(place, "power_state: mode is reboot, poweroff or halt");
            return;
        }
    };
    let delay = inner.text("delay").unwrap_or_else(|| "now".to_owned());
    let delay = match delay.trim_start_matches('+') {
        "now" => "now".to_owned(),
        minutes if minutes.parse::<u16>().is_ok() => format!("+{minutes}"),
        _ => {
            inner.notices.error(place, "power_state: delay is now or a number of minutes");
            return;
        }
    };
    let message =
        inner.text("message").map_or(String::new(), |message| format!(" {}", quote::shell(&message)));
    let condition = match inner.take("condition") {
        None => String::new(),
        Some(node) => match node.text().and_then(crate::value::decode::truth) {
            Some(true) => String::new(),
            Some(false) => return,
            None => match (&node.value, node.text()) {
                (crate::value::Value::List(words), _) => {
                    format!("{} || exit 0\n", quote::shell_words(words.iter().filter_map(|word| word.text())))
                }
                (_, Some(command)) => format!("( {command}\n) || exit 0\n"),
                _ => String::new(),
            },
        },
    };
    let _ = inner.text("timeout");
    inner.finish();
    add(document, "power-state", format!("#!/bin/sh\n{condition}shutdown {option} {delay}{message}\n"));
}

fn add(document: &mut Document, name: &str, content: String) {
    let name = Name::parse(name).ok();
    document.scripts.push(Script { name, content, stage: Stage::Final, every_boot: false });
}
