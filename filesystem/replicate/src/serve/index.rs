//! The page at `/`, for people: which repositories are here, at which revision, since when.

use std::fmt::Write as _;

use http::{HeaderValue, Response, header};
use jiff::Timestamp;
use varve_chassis::Body;
use varve_repository::RepositoryName;

use super::repositories::Description;

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>Repositories</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8886; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
time { white-space: nowrap; }
</style>
</head>
<body>
<h1>Repositories</h1>
";

const FOOT: &str = "<p>For programs: <a href=\"/cvmfs/info/v1/repositories.json\">repositories.json</a>, \
                    <a href=\"/metrics\">metrics</a>.</p>\n</body>\n</html>\n";

/// The page.
pub(super) fn render(listed: &[(RepositoryName, Description)]) -> Response<Body> {
    let mut response = Response::new(Body::whole(page(listed)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=61"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn page(listed: &[(RepositoryName, Description)]) -> String {
    let mut page = String::from(HEAD);
    if listed.is_empty() {
        page.push_str("<p>There is none here yet.</p>\n");
    } else {
        page.push_str(
            "<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"number\">Revision</th>\
             <th scope=\"col\">Published (UTC)</th></tr></thead>\n<tbody>\n",
        );
        for (name, description) in listed {
            row(&mut page, name, description);
        }
        page.push_str("</tbody>\n</table>\n");
    }
    page.push_str(FOOT);
    page
}

fn row(page: &mut String, name: &RepositoryName, description: &Description) {
    let name = escape(name.as_str());
    let revision = description.revision.map_or("–".to_owned(), |revision| revision.to_string());
    let time = match description.published.map(Timestamp::from_second) {
        Some(Ok(time)) => {
            format!("<time datetime=\"{time}\">{}</time>", time.strftime("%Y-%m-%d %H:%M"))
        }
        _ => "–".to_owned(),
    };
    // Writing to a string does not fail.
    let _ = writeln!(page, "<tr><td>{name}</td><td class=\"number\">{revision}</td><td>{time}</td></tr>");
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_with_and_without_repositories() {
        let described = Description { revision: Some(12), published: Some(1_700_000_000), original: true };
        let listed = [
            ("a.example.org".parse().expect("a name"), described),
            ("b.example.org".parse().expect("a name"), Description::default()),
        ];
        let body = |listed| page(listed).split_once("<body>").expect("a body").1.to_owned();
        insta::assert_snapshot!("some", body(&listed));
        insta::assert_snapshot!("none", body(&[]));
    }

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
