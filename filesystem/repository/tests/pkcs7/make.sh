#!/bin/sh
# Makes the PKCS #7 whitelists of this directory with OpenSSL, beside which they are read. Run once; the results are kept.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/conf" <<'CONF'
[req]
distinguished_name = name
[name]
[ca]
default_ca = authority
[authority]
database = index
crlnumber = crlnumber
default_md = sha256
default_crl_days = 36500
[authority_extensions]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[fix1]
basicConstraints = CA:FALSE
subjectAltName = URI:https://example.org/,URI:cvmfs:fix1.lab.example
[other]
basicConstraints = CA:FALSE
subjectAltName = URI:cvmfs:other.lab.example
CONF

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/ca.key" -out authority.pem -days 36500 \
    -subj "/CN=Test authority" -config "$work/conf" -extensions authority_extensions
for signer in fix1 other; do
    case $signer in fix1) kind="rsa:2048" ;; other) kind="ec -pkeyopt ec_paramgen_curve:P-256" ;; esac
    openssl req -newkey $kind -nodes -keyout "$work/$signer.key" -out "$work/$signer.csr" \
        -subj "/CN=$signer" -config "$work/conf"
    openssl x509 -req -in "$work/$signer.csr" -CA authority.pem -CAkey "$work/ca.key" -CAcreateserial \
        -CAserial "$work/serial" -days 36500 -extfile "$work/conf" -extensions $signer -out "$work/$signer.crt"
done

fingerprint=$(openssl x509 -in ../../../../tests/fixtures/fix1.lab.example/keys/fix1.lab.example.crt -noout \
    -fingerprint -sha1 | cut -d= -f2)
printf '20261121000000\nE20510713000000\nNfix1.lab.example\nVpkcs7\n%s\n' "$fingerprint" > whitelist
for signer in fix1 other; do
    openssl smime -sign -binary -nodetach -md sha256 -in whitelist -signer "$work/$signer.crt" \
        -inkey "$work/$signer.key" -outform PEM -out $signer.pkcs7
done
sed s/fix1/fix3/ whitelist > "$work/renamed"
openssl smime -sign -binary -nodetach -noattr -in "$work/renamed" -signer "$work/fix1.crt" \
    -inkey "$work/fix1.key" -outform PEM -out renamed.pkcs7

(cd "$work" && touch index && echo 01 > crlnumber \
    && openssl ca -config conf -cert "$OLDPWD/authority.pem" -keyfile ca.key -revoke fix1.crt \
    && openssl ca -config conf -cert "$OLDPWD/authority.pem" -keyfile ca.key -gencrl -out "$OLDPWD/revocations.pem")
