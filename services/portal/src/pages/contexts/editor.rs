//! The editor: text, and beside it a form made of the schema, checked while it is written.

use maud::{Markup, html};

use crate::web::assets;

/// What is in the editor.
pub(super) struct Editor<'a> {
    pub(super) content: &'a str,
    pub(super) protected: bool,
}

impl Editor<'_> {
    /// The fields of a form around it.
    pub(super) fn fields(&self) -> Markup {
        html! {
            @if self.protected {
                div.opening data-content=(self.content) data-into="content" {
                    p { "This context is protected. Open it with its secret to change it." }
                    label for="secret" { "Secret" }
                    input #secret type="password" autocomplete="off";
                    button type="button" { "Open it here" }
                }
            }
            div.editor data-schema="/api/v1/schema" {
                div.tabs role="tablist" aria-label="How to edit" {
                    button type="button" role="tab" id="tab-text" aria-controls="panel-text" aria-selected="true" { "Text" }
                    button type="button" role="tab" id="tab-form" aria-controls="panel-form" aria-selected="false" tabindex="-1" { "Form" }
                    button type="button" role="tab" id="tab-preview" aria-controls="panel-preview" aria-selected="false" tabindex="-1" { "Preview" }
                }
                div #panel-text role="tabpanel" aria-labelledby="tab-text" {
                    label for="content" { "Content" }
                    textarea #content name="content" rows="22" spellcheck="false" autocapitalize="none" autocomplete="off"
                        aria-describedby="content-help" { @if !self.protected { (self.content) } }
                    p.help #content-help {
                        "A document of Varve's own in TOML, cloud-config, a script, or what µCernVM and amiconfig take. "
                        button.quiet type="button" data-do="import" { "Turn legacy user data into a document" }
                    }
                }
                div #panel-form role="tabpanel" aria-labelledby="tab-form" hidden {
                    p.help { "What is set here is written into the text, which is then ordered anew, without its comments." }
                    div.form-body {}
                }
                div #panel-preview role="tabpanel" aria-labelledby="tab-preview" hidden {
                    pre.text.preview {}
                    h3 { "As a document, without secrets" }
                    pre.text.document {}
                }
                ul.notices aria-live="polite" {}
            }
            details.protection open[self.protected] {
                summary { "Protect it by a secret" }
                p.help { "This browser encrypts the content before it is sent. The hub can't read it, check it or get it back: \
                          without the secret it is lost." }
                label for="protect" { "Secret" @if self.protected { " (another one, or the same again)" } }
                input #protect type="password" autocomplete="new-password" minlength="8";
                p.complaint.protection-problem hidden role="alert" {}
            }
            script src=(assets::address("secret.js")) defer {}
            script src=(assets::address("form.js")) defer {}
            script src=(assets::address("editor.js")) defer {}
        }
    }
}
