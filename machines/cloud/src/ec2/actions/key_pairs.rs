//! `CreateKeyPair`, `ImportKeyPair`, `DescribeKeyPairs`, `DeleteKeyPair`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Call;
use crate::db::{key_pairs, tags};
use crate::ec2::fault::Fault;
use crate::ec2::filters::Filters;
use crate::ec2::parameters::{Parameters, shown};
use crate::ec2::tags::{specifications, write};
use crate::ec2::time;
use crate::ec2::xml::Xml;
use crate::id::KeyPairId;
use crate::key_pair::{self, KeyKind, KeyPair, Public};
use crate::tag::{ResourceKind, Tag};

const FILTERS: &[&str] = &["fingerprint", "key-name", "key-pair-id", "key-type"];
/// The longest name.
const LONGEST_NAME: usize = 255;
/// The most key pairs of one account.
const MOST: usize = 500;

pub(super) async fn create(mut call: Call) -> Result<String, Fault> {
    let name = name(&mut call.parameters)?;
    let kind = match call.parameters.take("KeyType") {
        None => KeyKind::default(),
        Some(text) => text
            .parse()
            .map_err(|_| call.parameters.invalid("KeyType", &text, "It must be rsa or ed25519."))?,
    };
    if let Some(format) = call.parameters.take("KeyFormat")
        && format != "pem"
    {
        return Err(call.parameters.invalid("KeyFormat", &format, "It must be pem."));
    }
    let tags = specifications(&mut call.parameters, ResourceKind::KeyPair)?;
    call.finish()?;
    let comment = name.clone();
    let made = tokio::task::spawn_blocking(move || key_pair::create(kind, &comment)).await;
    let (public, private) = made.map_err(|_| Fault::internal())?.map_err(|error| {
        tracing::error!(%error, "a key pair");
        Fault::internal()
    })?;
    let pair = record(&call, name, public, &tags).await?;
    Ok(call.respond("CreateKeyPair", |xml| {
        head(xml, &pair);
        xml.text("keyMaterial", private);
        write(xml, &tags);
    }))
}

pub(super) async fn import(mut call: Call) -> Result<String, Fault> {
    let name = name(&mut call.parameters)?;
    let material = call.parameters.required("PublicKeyMaterial")?;
    let tags = specifications(&mut call.parameters, ResourceKind::KeyPair)?;
    call.finish()?;
    let compact: String = material.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let text = STANDARD.decode(compact).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // Some send the key as it is.
    let public = key_pair::import(&text.unwrap_or(material)).map_err(|error| {
        Fault::new("InvalidKey.Format", format!("Key is not in valid OpenSSH public key format: {error}"))
    })?;
    let pair = record(&call, name, public, &tags).await?;
    Ok(call.respond("ImportKeyPair", |xml| {
        head(xml, &pair);
        write(xml, &tags);
    }))
}

fn name(parameters: &mut Parameters) -> Result<String, Fault> {
    let name = parameters.required("KeyName")?;
    if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(parameters.invalid("KeyName", &name, "It has up to 255 characters that can be seen."));
    }
    Ok(name)
}

fn head(xml: &mut Xml, pair: &KeyPair) {
    xml.text("keyPairId", &pair.id);
    xml.text("keyName", &pair.name);
    xml.text("keyFingerprint", &pair.fingerprint);
}

async fn record(call: &Call, name: String, public: Public, tags: &[Tag]) -> Result<KeyPair, Fault> {
    let pair = KeyPair {
        id: KeyPairId::new(),
        owner: call.account.id.clone(),
        name,
        kind: public.kind,
        fingerprint: public.fingerprint,
        public_key: public.text,
        created: call.now,
    };
    let (new, tags) = (pair.clone(), tags.to_vec());
    call.cloud
        .database
        .write(move |transaction| {
            if key_pairs::named(transaction, &new.owner, &new.name)?.is_some() {
                let message = format!("The keypair '{}' already exists.", shown(&new.name));
                return Err(Fault::new("InvalidKeyPair.Duplicate", message));
            }
            if key_pairs::of_owner(transaction, &new.owner)?.len() >= MOST {
                return Err(Fault::new(
                    "KeyPairLimitExceeded",
                    format!("An account has at most {MOST} key pairs."),
                ));
            }
            key_pairs::insert(transaction, &new)?;
            for tag in &tags {
                tags::put(transaction, &new.owner, new.id.as_str(), ResourceKind::KeyPair, tag)?;
            }
            Ok(())
        })
        .await?;
    Ok(pair)
}

pub(super) async fn describe(mut call: Call) -> Result<String, Fault> {
    let names = call.parameters.list("KeyName");
    let ids = call.parameters.list("KeyPairId");
    let filters = Filters::take(&mut call.parameters, FILTERS)?;
    let with_key = call.parameters.flag("IncludePublicKey")?;
    call.finish()?;
    let owner = call.account.id.clone();
    let (mut found, tags) = call
        .cloud
        .database
        .read(move |transaction| {
            Ok::<_, Fault>((key_pairs::of_owner(transaction, &owner)?, tags::of_owner(transaction, &owner)?))
        })
        .await?;
    if let Some(absent) = names.iter().find(|name| !found.iter().any(|pair| pair.name == **name)) {
        return Err(absent_pair(absent));
    }
    if let Some(absent) = ids.iter().find(|id| !found.iter().any(|pair| pair.id.as_str() == id.as_str())) {
        let message = format!("The key pair with ID '{}' does not exist", shown(absent));
        return Err(Fault::new("InvalidKeyPair.NotFound", message));
    }
    let tags_of = |pair: &KeyPair| tags.get(pair.id.as_str()).cloned().unwrap_or_default();
    found.retain(|pair| {
        let named = names.is_empty() && ids.is_empty();
        (named || names.contains(&pair.name) || ids.iter().any(|id| id == pair.id.as_str()))
            && filters.match_all(&tags_of(pair), |name| vec![field(pair, name)])
    });
    Ok(call.respond("DescribeKeyPairs", |xml| {
        xml.list("keySet", &found, |xml, pair| {
            head(xml, pair);
            xml.text("keyType", pair.kind.as_str());
            xml.text("createTime", time::iso(pair.created));
            if with_key {
                xml.text("publicKey", &pair.public_key);
            }
            write(xml, &tags_of(pair));
        });
    }))
}

fn field(pair: &KeyPair, name: &str) -> String {
    match name {
        "fingerprint" => pair.fingerprint.clone(),
        "key-name" => pair.name.clone(),
        "key-pair-id" => pair.id.to_string(),
        _ => pair.kind.as_str().to_owned(),
    }
}

pub(super) async fn delete(mut call: Call) -> Result<String, Fault> {
    let name = call.parameters.take("KeyName");
    let id = call.parameters.take("KeyPairId");
    if name.is_none() && id.is_none() {
        return Err(call.parameters.missing("KeyName"));
    }
    call.finish()?;
    let owner = call.account.id.clone();
    let deleted = call
        .cloud
        .database
        .write(move |transaction| {
            let pairs = key_pairs::of_owner(transaction, &owner)?;
            let pair = pairs.into_iter().find(|pair| {
                name.as_ref().is_none_or(|name| pair.name == *name)
                    && id.as_ref().is_none_or(|id| pair.id.as_str() == id)
            });
            // One that isn't there has been deleted.
            let Some(pair) = pair else { return Ok::<_, Fault>(None) };
            key_pairs::delete(transaction, &pair)?;
            tags::delete_all(transaction, pair.id.as_str())?;
            Ok(Some(pair.id))
        })
        .await?;
    Ok(call.respond("DeleteKeyPair", |xml| {
        xml.text("return", true);
        xml.optional("keyPairId", deleted);
    }))
}

fn absent_pair(name: &str) -> Fault {
    Fault::new("InvalidKeyPair.NotFound", format!("The key pair '{}' does not exist", shown(name)))
}
