//! Parts that several pages have.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::contexts::{Checked, Context, Visibility};

/// A moment, as people read it; scripts show it in their own time.
pub(super) fn moment(milliseconds: i64) -> Markup {
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let civil = time.to_zoned(TimeZone::UTC);
    let text = civil.strftime("%Y-%m-%d %H:%M UTC").to_string();
    html! { time datetime=(time.to_string()) { (text) } }
}

/// What went wrong with a form, above it.
pub(super) fn complaint(text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            p.complaint role="alert" { (text) }
        }
    }
}

/// Contexts in a list.
pub(super) fn contexts(contexts: &[Context], with_owner: bool) -> Markup {
    html! {
        ul.cards {
            @for context in contexts {
                li.card {
                    h3 { a href={ "/contexts/" (context.id) } { (context.name) } }
                    @if !context.description.is_empty() { p { (context.description) } }
                    p.meta {
                        @if with_owner { "by " (context.owner_name) " · " }
                        "version " (context.version) " · changed " (moment(context.changed))
                    }
                    (badges(context))
                }
            }
        }
    }
}

/// What is to be known of a context at once.
pub(super) fn badges(context: &Context) -> Markup {
    html! {
        p.badges {
            span.badge { (context.visibility.as_str()) }
            @if context.template { span.badge { "template" } }
            @if context.protected { span.badge { "protected" } }
        }
    }
}

/// What a machine makes of a context.
pub(super) fn checked(checked: &Checked) -> Markup {
    html! {
        @if checked.protected {
            p { "The hub can't look into this context: only its secret opens it." }
        } @else {
            @if !checked.notices.is_empty() {
                ul.notices {
                    @for notice in &checked.notices {
                        li class=(if notice.severity == varve_context::Severity::Error { "error" } else { "warning" }) {
                            (notice.to_string())
                        }
                    }
                }
            }
            details open {
                summary { "What a machine does with it" }
                pre.text { (checked.explanation) }
            }
            details {
                summary { "As a document, without secrets" }
                pre.text { (checked.document) }
            }
        }
    }
}

/// Who may read a context, to be chosen.
pub(super) fn visibility(chosen: Visibility) -> Markup {
    html! {
        label for="visibility" { "Who may read it" }
        select #visibility name="visibility" {
            @for (one, text) in [
                (Visibility::Private, "only you"),
                (Visibility::Shared, "you and the accounts named below"),
                (Visibility::Public, "everybody"),
            ] {
                option value=(one.as_str()) selected[one == chosen] { (text) }
            }
        }
    }
}

/// Lines of a difference.
pub(super) fn difference(text: &str) -> Markup {
    html! {
        pre.difference {
            @for line in text.lines() {
                @let kind = match line.as_bytes().first() {
                    Some(b'+') => "added",
                    Some(b'-') => "removed",
                    Some(b'@') => "place",
                    _ => "same",
                };
                span class=(kind) { (line) "\n" }
            }
        }
    }
}
