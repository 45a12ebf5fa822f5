//! The table of routes: everything that the hub answers, and what it takes.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::assets;
use super::openapi::Operation;
use crate::accounts::{AccountChange, Role};
use crate::audit::Entry;
use crate::contexts::{Checked, Context, ContextDraft, Description, Difference, Version};
use crate::hub::Hub;
use crate::pairing::{Decision, Pairing, PairingRequest, Started};
use crate::tokens::ApiToken;
use crate::{api, pages};

use super::access::Access::{self, Public, Session};
use super::access::Kind::{self, Api, Form, Page, Plain};

/// One of them.
pub struct Route {
    /// `GET`, `POST` …
    pub method: Method,
    /// With the names of its variable parts between braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it answers.
    pub kind: Kind,
    /// What it is for.
    pub summary: &'static str,
    pub(crate) handler: MethodRouter<Hub>,
    pub(crate) operation: Operation,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.access)
    }
}

impl Route {
    fn takes<T: JsonSchema>(mut self) -> Self {
        self.operation.takes = Some(schema_of::<T>);
        self
    }

    fn gives<T: JsonSchema>(mut self) -> Self {
        self.operation.gives = Some(schema_of::<T>);
        self
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

macro_rules! route {
    ($method:ident $path:literal, $access:expr, $kind:ident, $handler:expr, $summary:literal) => {
        Route {
            method: Method::$method,
            path: $path,
            access: $access,
            kind: $kind,
            summary: $summary,
            handler: route!(@ $method $handler),
            operation: Operation::default(),
        }
    };
    (@ GET $handler:expr) => { get($handler) };
    (@ POST $handler:expr) => { post($handler) };
    (@ PUT $handler:expr) => { put($handler) };
    (@ DELETE $handler:expr) => { delete($handler) };
}

/// All of them.
pub fn routes() -> Vec<Route> {
    [for_everybody(), context_pages(), other_pages(), context_api(), other_api()]
        .into_iter()
        .flatten()
        .collect()
}

const READER: Access = Access::Role(Role::Reader);
const USER: Access = Access::Role(Role::User);
const ADMINISTRATOR: Access = Access::Role(Role::Administrator);
const OWN: Access = Session(Role::Reader);
const OWN_ADMINISTRATOR: Access = Session(Role::Administrator);

fn for_everybody() -> Vec<Route> {
    vec![
        route!(GET "/", Public, Page, pages::dashboard::show, "the first page"),
        route!(GET "/sign-in", Public, Page, pages::sign_in::show, "the form to sign in"),
        route!(POST "/sign-in", Public, Form, pages::sign_in::sign_in, "begin a session"),
        route!(POST "/sign-out", Public, Form, pages::sign_in::sign_out, "end the session"),
        route!(GET "/sign-up", Public, Page, pages::sign_up::show, "the form to make an account"),
        route!(POST "/sign-up", Public, Form, pages::sign_up::sign_up, "make an account"),
        route!(GET "/assets/{name}", Public, Plain, assets::get, "a file that pages need"),
        route!(GET "/healthz", Public, Plain, api::health::show, "whether the hub and its database work"),
    ]
}

fn context_pages() -> Vec<Route> {
    vec![
        route!(GET "/contexts", READER, Page, pages::contexts::list::show, "own and shared contexts"),
        route!(GET "/contexts/public", Public, Page, pages::contexts::public::show, "public contexts, with a search"),
        route!(GET "/contexts/new", USER, Page, pages::contexts::new::show, "the editor of a new context"),
        route!(POST "/contexts", USER, Form, pages::contexts::new::create, "make a context"),
        route!(GET "/contexts/{id}", Public, Page, pages::contexts::one::show, "a context"),
        route!(GET "/contexts/{id}/edit", USER, Page, pages::contexts::edit::show, "the editor of a context"),
        route!(POST "/contexts/{id}/versions", USER, Form, pages::contexts::edit::save, "save a new version"),
        route!(GET "/contexts/{id}/versions/{number}", Public, Page, pages::contexts::versions::show, "a version and what changed in it"),
        route!(POST "/contexts/{id}/undo", USER, Form, pages::contexts::versions::undo, "make an earlier version the newest"),
        route!(GET "/contexts/{id}/sharing", USER, Page, pages::contexts::sharing::show, "name, description and visibility"),
        route!(POST "/contexts/{id}/sharing", USER, Form, pages::contexts::sharing::save, "change them"),
        route!(POST "/contexts/{id}/delete", USER, Form, pages::contexts::sharing::delete, "delete a context"),
    ]
}

fn other_pages() -> Vec<Route> {
    vec![
        route!(GET "/pair", USER, Page, pages::pairing::show, "the form for a PIN"),
        route!(POST "/pair", USER, Form, pages::pairing::look, "look at what shows a PIN"),
        route!(POST "/pair/decide", USER, Form, pages::pairing::decide, "give it a context, or refuse it"),
        route!(GET "/machines", USER, Page, pages::machines::show, "paired machines"),
        route!(GET "/machines/{id}", USER, Page, pages::machines::one, "a paired machine"),
        route!(GET "/account", OWN, Page, pages::account::show, "password and API tokens"),
        route!(POST "/account/password", OWN, Form, pages::account::change_password, "change the password"),
        route!(POST "/account/tokens", OWN, Form, pages::account::create_token, "make an API token"),
        route!(POST "/account/tokens/{id}/revoke", OWN, Form, pages::account::revoke_token, "revoke an API token"),
        route!(GET "/accounts", OWN_ADMINISTRATOR, Page, pages::accounts::show, "everybody's accounts"),
        route!(POST "/accounts/{id}", OWN_ADMINISTRATOR, Form, pages::accounts::change, "change an account"),
        route!(POST "/invitations", OWN_ADMINISTRATOR, Form, pages::accounts::invite, "make an invitation"),
        route!(GET "/audit", READER, Page, pages::audit::show, "the audit log"),
    ]
}

fn context_api() -> Vec<Route> {
    vec![
        route!(GET "/api/v1/contexts", READER, Api, api::contexts::list, "own and shared contexts").gives::<api::contexts::Lists>(),
        route!(GET "/api/v1/contexts/public", Public, Api, api::contexts::public, "public contexts; `q` is a word to look for").gives::<Vec<Context>>(),
        route!(POST "/api/v1/contexts", USER, Api, api::contexts::create, "make a context").takes::<api::contexts::NewContext>().gives::<Context>(),
        route!(GET "/api/v1/contexts/{id}", Public, Api, api::contexts::show, "a context").gives::<Context>(),
        route!(PUT "/api/v1/contexts/{id}", USER, Api, api::contexts::describe, "change name, description and visibility").takes::<Description>().gives::<Context>(),
        route!(DELETE "/api/v1/contexts/{id}", USER, Api, api::contexts::remove, "delete a context with all its versions"),
        route!(GET "/api/v1/contexts/{id}/content", Public, Api, api::contexts::content, "the user data of the newest version, as text"),
        route!(GET "/api/v1/contexts/{id}/versions", Public, Api, api::contexts::versions, "all versions, the newest first").gives::<Vec<Version>>(),
        route!(POST "/api/v1/contexts/{id}/versions", USER, Api, api::contexts::change, "save a new version").takes::<ContextDraft>().gives::<Context>(),
        route!(GET "/api/v1/contexts/{id}/versions/{number}", Public, Api, api::contexts::version, "a version").gives::<Version>(),
        route!(GET "/api/v1/contexts/{id}/difference", Public, Api, api::contexts::difference, "what changed between the versions `from` and `to`").gives::<Difference>(),
        route!(POST "/api/v1/check", READER, Api, api::documents::check, "read user data as a machine would").takes::<api::documents::Text>().gives::<Checked>(),
        route!(POST "/api/v1/import", READER, Api, api::documents::import, "make a document of legacy user data").takes::<api::documents::Text>().gives::<api::documents::Text>(),
        route!(POST "/api/v1/document", READER, Api, api::documents::write, "write a document's values as TOML").gives::<api::documents::Text>(),
        route!(GET "/api/v1/schema", Public, Api, api::documents::schema, "the JSON schema of documents"),
    ]
}

fn other_api() -> Vec<Route> {
    vec![
        route!(POST "/api/v1/pairings", Public, Plain, api::pairings::start, "a machine asks for a PIN").takes::<PairingRequest>().gives::<Started>(),
        route!(POST "/api/v1/pairings/poll", Public, Plain, api::pairings::poll, "a machine asks what has come of it").takes::<api::pairings::Question>(),
        route!(POST "/api/v1/pairings/taken", Public, Plain, api::pairings::taken, "a machine has its context").takes::<api::pairings::Question>(),
        route!(GET "/api/v1/pairings", USER, Api, api::pairings::list, "paired machines").gives::<Vec<Pairing>>(),
        route!(GET "/api/v1/pairings/{id}", USER, Api, api::pairings::show, "a paired machine").gives::<Pairing>(),
        route!(POST "/api/v1/pairings/look", USER, Api, api::pairings::look, "look at what shows a PIN").takes::<api::pairings::Typed>().gives::<Pairing>(),
        route!(POST "/api/v1/pairings/decide", USER, Api, api::pairings::decide, "give it a context, or refuse it").takes::<Decision>().gives::<Pairing>(),
        route!(GET "/api/v1/me", READER, Api, api::accounts::me, "whose token this is").gives::<api::accounts::AccountView>(),
        route!(GET "/api/v1/tokens", READER, Api, api::accounts::tokens, "API tokens").gives::<Vec<ApiToken>>(),
        route!(GET "/api/v1/accounts", ADMINISTRATOR, Api, api::accounts::list, "everybody's accounts").gives::<Vec<api::accounts::AccountView>>(),
        route!(PUT "/api/v1/accounts/{id}", OWN_ADMINISTRATOR, Api, api::accounts::change, "change an account").takes::<AccountChange>(),
        route!(GET "/api/v1/audit", READER, Api, api::audit::list, "the audit log, the latest first, before the time `before`").gives::<Vec<Entry>>(),
        route!(GET "/api/v1/openapi.json", Public, Api, api::openapi::show, "this description"),
    ]
}
