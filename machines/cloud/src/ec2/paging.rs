//! Long listings in pieces: `MaxResults` and `NextToken`.
//!
//! A token says behind which item the next piece begins, so that what comes and goes meanwhile neither shifts nor repeats
//! the others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fault::Fault;
use super::parameters::Parameters;

/// Which piece is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    most: Option<usize>,
    after: Option<String>,
}

impl Page {
    /// Takes what a request says; a piece has at least `least` items, if it is asked for by size.
    pub(crate) fn take(parameters: &mut Parameters, least: u32) -> Result<Self, Fault> {
        let most = parameters.number("MaxResults", least, 1000)?;
        let after = match parameters.take("NextToken").filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => {
                let key = URL_SAFE_NO_PAD.decode(&token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let invalid =
                    || Fault::new("InvalidNextToken", "The token in the NextToken parameter is invalid");
                Some(key.ok_or_else(invalid)?)
            }
        };
        Ok(Self { most: most.map(|most| most as usize), after })
    }

    /// Whether the request is for a piece.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.most.is_some() || self.after.is_some()
    }

    /// Cuts the piece out of items that are sorted by their keys; the token is for what comes behind it.
    pub(crate) fn cut<T>(&self, items: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let mut items: Vec<T> = match &self.after {
            None => items,
            Some(after) => items.into_iter().filter(|item| key(item) > *after).collect(),
        };
        let most = self.most.unwrap_or(usize::MAX);
        if items.len() <= most {
            return (items, None);
        }
        items.truncate(most);
        let token = items.last().map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        (items, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(form: &str) -> Result<Page, Fault> {
        Page::take(&mut Parameters::read([form.as_bytes()]).unwrap(), 5)
    }

    #[test]
    fn pieces_follow_one_another() {
        let items: Vec<u32> = (10..29).collect();
        let (mut token, mut seen) = (String::new(), Vec::new());
        loop {
            let page = page(&format!("MaxResults=5&NextToken={token}")).unwrap();
            let (piece, next) = page.cut(items.clone(), u32::to_string);
            seen.extend(piece);
            match next {
                Some(next) => token = next,
                None => break,
            }
        }
        assert_eq!(seen, items);
        assert!(
            page("MaxResults=4").is_err()
                && page("MaxResults=1001").is_err()
                && page("NextToken=%FF").is_err()
        );
    }
}
