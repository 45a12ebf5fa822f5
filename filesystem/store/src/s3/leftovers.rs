//! Uploads in parts that were begun and never ended: they cost space, and no listing of objects shows them. The library
//! can't list them, so that is done here, with its signature.

use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::bucket::Bucket;
use super::fault::{Attempt, failed};
use crate::StoreError;

/// How long a signature lasts.
const VALID: Duration = Duration::from_secs(300);

/// The most bytes of one page of the listing.
const PAGE_LIMIT: usize = 8 << 20;

/// The most pages that are read, of a thousand uploads each.
const MOST_PAGES: u32 = 1000;

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    upload: Vec<Upload>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

/// Gives up all unfinished uploads below the prefix.
pub(super) fn remove(bucket: &Bucket) -> Result<(), StoreError> {
    let mut markers = None;
    for _ in 0..MOST_PAGES {
        let Some(page) = bucket.run(page(bucket, markers))? else { return Ok(()) };
        for upload in &page.upload {
            let Ok(key) = Path::parse(&upload.key) else { continue };
            let aborted = bucket.client.abort_multipart(&key, &upload.upload_id);
            match bucket.request("give up the upload of", &upload.key, &key, None, aborted) {
                Err(error) if !error.is_absence() => return Err(error),
                _ => tracing::debug!(key = upload.key, "gave up an unfinished upload"),
            }
        }
        match (page.is_truncated, page.next_key_marker) {
            (true, Some(key)) => markers = Some((key, page.next_upload_id_marker.unwrap_or_default())),
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// One page; `None` from a service that keeps no such list.
async fn page(bucket: &Bucket, markers: Option<(String, String)>) -> Result<Option<Page>, StoreError> {
    let prefix = bucket.keys_below("data");
    let object = bucket.address(&prefix);
    let attempt = Attempt {
        action: "list unfinished uploads below",
        name: &prefix,
        object: &object,
        place: bucket.place(),
    };
    let mut query = vec![("prefix".to_owned(), prefix.clone()), ("uploads".to_owned(), String::new())];
    if let Some((key, upload)) = markers {
        query.push(("key-marker".to_owned(), key));
        query.push(("upload-id-marker".to_owned(), upload));
    }
    let options = SignedUrlOptions::new().with_query(query);
    let root = Path::default();
    let signed = bucket.client.signed_url_opts(Method::GET, &root, VALID, &options);
    let address = bucket.requested(attempt.action, &prefix, &root, None, signed).await?;
    let broken = |error: reqwest::Error| failed(attempt, &error.without_url().to_string());
    let response = bucket.http.get(address).send().await.map_err(broken)?;
    let status = response.status();
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(broken)?);
        if body.len() > PAGE_LIMIT {
            return Err(failed(attempt, "the list is too long"));
        }
    }
    let text = String::from_utf8_lossy(&body);
    match status {
        StatusCode::OK => match quick_xml::de::from_str(&text) {
            Ok(page) => Ok(Some(page)),
            Err(error) => Err(failed(attempt, &error.to_string())),
        },
        // That is how some services say that there are none.
        StatusCode::NOT_FOUND => Ok(None),
        // Not every service has it, and not everybody may: publishing goes on without.
        _ => {
            tracing::warn!(place = bucket.place(), %status, "unfinished uploads can't be listed");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let text = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"x\"><Bucket>b</Bucket>\
            <NextKeyMarker>k</NextKeyMarker><IsTruncated>true</IsTruncated><Upload><Key>a/b</Key><UploadId>1</UploadId>\
            <StorageClass>STANDARD</StorageClass></Upload><Upload><Key>c</Key><UploadId>2</UploadId></Upload>\
            </ListMultipartUploadsResult>";
        let page: Page = quick_xml::de::from_str(text).expect("well formed");
        assert_eq!((page.is_truncated, page.next_key_marker.as_deref()), (true, Some("k")));
        let ids: Vec<&str> = page.upload.iter().map(|upload| upload.upload_id.as_str()).collect();
        assert_eq!(ids, ["1", "2"]);
        let none = "<ListMultipartUploadsResult><Bucket>b</Bucket></ListMultipartUploadsResult>";
        assert_eq!(quick_xml::de::from_str::<Page>(none).expect("well formed"), Page::default());
    }
}
