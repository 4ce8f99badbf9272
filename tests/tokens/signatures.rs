//! Who signed, with what, and what is no signature.

use serde_json::json;

use super::case::Outcome::{Good, Refused, Unknown};
use super::case::{Family, Mint, without};
use super::keys::{ED_ORDER, P256_ORDER, P384_ORDER, Secret, base64, hex, message, minus, plus, with_secret};

pub fn families(mint: &Mint) -> Vec<Family> {
    vec![confusion(mint), swaps(mint), foreign(mint), edges(mint), encodings(mint)]
}

/// A public key taken for a secret.
fn confusion(mint: &Mint) -> Family {
    let mut family = Family::new("public key as secret");
    for key in [&mint.rsa, &mint.p256, &mint.p384, &mint.ed, &mint.cluster] {
        let is_cluster = key.id == "cluster";
        for (form, secret) in key.forms().into_iter().chain([("nothing", vec![])]) {
            for algorithm in ["HS256", "HS384", "HS512"] {
                let claims = if is_cluster { mint.cluster_claims(json!({})) } else { mint.claims(json!({})) };
                let message = message(mint.header(algorithm, key), claims.to_string());
                let name = format!("{algorithm} with {} as {form}", key.id);
                family.token(name, with_secret(algorithm, &secret, &message), Refused);
            }
            // The same under the name of an algorithm that is allowed.
            let allowed = match key.id {
                "p256" => "ES256",
                "p384" => "ES384",
                "ed" => "EdDSA",
                _ => "RS256",
            };
            let message = message(mint.header(allowed, key), mint.claims(json!({})).to_string());
            let name = format!("HS256 as {allowed} with {} as {form}", key.id);
            family.token(name, with_secret("HS256", &secret, &message), Refused);
        }
    }
    family
}

/// One algorithm is told, another one signed with.
fn swaps(mint: &Mint) -> Family {
    let mut family = Family::new("swapped algorithms");
    let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    let of = |key: &Secret| match key.id {
        "p256" => vec!["ES256"],
        "p384" => vec!["ES384"],
        "ed" => vec!["EdDSA"],
        _ => vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    };
    for key in [&mint.rsa, &mint.p256, &mint.p384, &mint.ed] {
        for real in of(key) {
            for told in all {
                let outcome = if told == real { Good } else { Refused };
                let token = key.finish(real, &mint.message(told, key));
                family.token(format!("{real} of {} as {told}", key.id), token, outcome);
            }
        }
        // Under the name of another key.
        for other in [&mint.rsa, &mint.p256, &mint.p384, &mint.ed].into_iter().filter(|it| it.id != key.id) {
            let told = of(other)[0];
            let token = key.finish(told, &mint.message(told, other));
            family.token(format!("{} as {}", key.id, other.id), token, Refused);
            let token = key.finish(of(key)[0], &mint.message(of(key)[0], other));
            family.token(format!("{} under the name of {}", key.id, other.id), token, Refused);
        }
    }
    let unheard = [
        "RS1",
        "rs256",
        "RS256 ",
        " RS256",
        "RSA256",
        "SHA256withRSA",
        "ES256K",
        "ES512",
        "Ed25519",
        "Ed448",
        "eddsa",
        "HS256",
        "hs256",
        "RSA-OAEP",
        "RSA1_5",
        "dir",
        "A128KW",
        "ECDH-ES",
        "PBES2-HS256+A128KW",
        "ML-DSA-65",
        "ＲＳ256",
    ];
    for algorithm in unheard {
        family.token(format!("{algorithm:?}"), mint.rsa.finish("RS256", &mint.message(algorithm, &mint.rsa)), Refused);
    }
    for algorithm in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let token = mint.pinned.finish(algorithm, &mint.message(algorithm, &mint.pinned));
        family.token(format!("{algorithm} of a key for RS256"), token, Refused);
        let claims = mint.claims(json!({ "iss": mint.issuer("narrow"), "aud": "narrow-api", "tenant": "acme" }));
        let token = mint.narrow.token(algorithm, mint.header(algorithm, &mint.narrow), claims.to_string());
        family.token(format!("{algorithm}, which the issuer does not use"), token, Refused);
    }
    let token = mint.pinned.finish("RS256", &mint.message("RS256", &mint.pinned));
    family.token("RS256 of a key for RS256", token, Good);
    for algorithm in ["PS256", "PS384", "PS512", "ES256", "EdDSA", "HS256"] {
        let claims = mint.cluster_claims(json!({})).to_string();
        let token = mint.cluster.token(algorithm, mint.header(algorithm, &mint.cluster), claims);
        family.token(format!("{algorithm} of the cluster"), token, Refused);
    }
    // Clusters may use it, and it is the API server that can check it.
    let claims = mint.cluster_claims(json!({})).to_string();
    let token = mint.cluster.token("RS256", mint.header("ES512", &mint.cluster), claims);
    family.token("ES512 of the cluster", token, Unknown);
    family
}

/// Good signatures of somebody else.
fn foreign(mint: &Mint) -> Family {
    let mut family = Family::new("keys of others");
    let (main, cluster) = (mint.claims(json!({})), mint.cluster_claims(json!({})));
    let narrow = mint.claims(json!({ "iss": mint.issuer("narrow"), "aud": "narrow-api", "tenant": "acme" }));
    let backstage = mint.claims(json!({ "iss": mint.issuer("backstage"), "aud": "backstage" }));
    let keys: [(&str, &Secret); 6] = [
        ("a key of nobody", &mint.foreign),
        ("a key of another issuer", &mint.narrow),
        ("a key of another issuer with the same name", &mint.narrow_twin),
        ("a key for encryption", &mint.encryption),
        ("a retired key", &mint.retired),
        ("the cluster's key", &mint.cluster),
    ];
    for (name, key) in keys {
        for (whose, claims, id) in
            [("main", &main, "rsa"), ("backstage", &backstage, "rsa"), ("the cluster", &cluster, &*mint.cluster_id)]
        {
            if (key.id, whose) == ("cluster", "the cluster") {
                continue;
            }
            for (how, header) in [
                ("under its own name", mint.header("RS256", key)),
                ("under the issuer's name", json!({ "alg": "RS256", "kid": id }).to_string()),
                ("without a name", json!({ "alg": "RS256" }).to_string()),
            ] {
                let token = key.token("RS256", header, claims.to_string());
                family.token(format!("{name} for {whose}, {how}"), token, Refused);
            }
        }
    }
    for (name, key, algorithm) in [("RSA", &mint.rsa, "RS256"), ("P-256", &mint.p256, "ES256")] {
        for (whose, claims) in [("narrow", &narrow), ("the cluster", &cluster)] {
            for header in [mint.header(algorithm, key), json!({ "alg": algorithm }).to_string()] {
                let token = key.token(algorithm, &header, claims.to_string());
                family.token(format!("{name} of main for {whose}, {header}"), token, Refused);
            }
        }
    }
    let header = json!({ "alg": "ES256", "kid": "p256" }).to_string();
    family.token("P-256 of nobody", mint.foreign_p256.token("ES256", header, main.to_string()), Refused);
    let token = |key: &Secret, algorithm| key.token(algorithm, mint.header(algorithm, key), narrow.to_string());
    family.token("RS256 of the other issuer", token(&mint.narrow, "RS256"), Good);
    family.token("the twin of the other issuer", token(&mint.narrow_twin, "RS256"), Good);
    family.token("ES256 of the other issuer", token(&mint.narrow_p256, "ES256"), Good);
    let unnamed = json!({ "alg": "RS256" }).to_string();
    family.token("main without a name", mint.rsa.token("RS256", unnamed, main.to_string()), Good);
    let wrong = without(narrow, "tenant").to_string();
    let token = mint.narrow.token("RS256", mint.header("RS256", &mint.narrow), wrong);
    family.token("the other issuer without what it has to say", token, Refused);
    family
}

/// Signatures at the edges of what they can be.
fn edges(mint: &Mint) -> Family {
    let mut family = Family::new("edges of signatures");
    for (key, algorithm) in [
        (&mint.rsa, "RS256"),
        (&mint.rsa, "PS256"),
        (&mint.p256, "ES256"),
        (&mint.p384, "ES384"),
        (&mint.ed, "EdDSA"),
        (&mint.cluster, "RS256"),
    ] {
        let claims = if key.id == "cluster" { mint.cluster_claims(json!({})) } else { mint.claims(json!({})) };
        let message = message(mint.header(algorithm, key), claims.to_string());
        let good = key.sign(algorithm, &message);
        let (length, half) = (good.len(), good.len() / 2);
        let mut flipped = good.clone();
        flipped[half] ^= 1;
        let mut cases = vec![
            ("empty", vec![]),
            ("a byte", vec![1]),
            ("zeros", vec![0; length]),
            ("ones", vec![0xff; length]),
            ("one", [vec![0; length - 1], vec![1]].concat()),
            ("too short", good[..length - 1].to_vec()),
            ("without its first byte", good[1..].to_vec()),
            ("too long", [&good[..], &[0]].concat()),
            ("with a zero before it", [&[0], &good[..]].concat()),
            ("half", good[..half].to_vec()),
            ("twice", [&good[..], &good[..]].concat()),
            ("backwards", good.iter().rev().copied().collect()),
            ("halves swapped", [&good[half..], &good[..half]].concat()),
            ("a bit flipped", flipped),
            ("of another message", key.sign(algorithm, &mint.message(algorithm, &mint.rsa).repeat(2))),
            ("of the claims only", key.sign(algorithm, message.split('.').nth(1).unwrap())),
            ("64 KiB in all", vec![7; 12 << 10]),
        ];
        if matches!(algorithm, "ES256" | "ES384") {
            let order = hex(if algorithm == "ES256" { P256_ORDER } else { P384_ORDER });
            let (r, s) = good.split_at(half);
            let (zero, one) = (vec![0; half], [vec![0; half - 1], vec![1]].concat());
            cases.extend([
                ("in ASN.1", key.sign_der(&message)),
                ("r = 0", [&zero, s].concat()),
                ("s = 0", [r, &zero].concat()),
                ("r = 1, s = 1", [&one[..], &one].concat()),
                ("r = n", [&order, s].concat()),
                ("s = n", [r, &order].concat()),
                ("r = n, s = n", [&order[..], &order].concat()),
                ("r = n - 1, s = n - 1", [minus(&order, &one), minus(&order, &one)].concat()),
                ("r negated", [&minus(&order, r)[..], s].concat()),
            ]);
            // Who has one signature has the other as well: it says the same, of the same message.
            let other = [r, &minus(&order, s)].concat();
            family.token(format!("{algorithm}: s negated"), format!("{message}.{}", base64(other)), Good);
        }
        if algorithm == "EdDSA" {
            let order: Vec<u8> = hex(ED_ORDER);
            let (r, s) = good.split_at(half);
            let big: Vec<u8> = s.iter().rev().copied().collect();
            let more: Vec<u8> = plus(&big, &order).into_iter().rev().collect();
            cases.extend([("s + L", [r, &more].concat()), ("R = the identity, s = 0", [&[1][..], &[0; 63]].concat())]);
        }
        for (name, signature) in cases {
            let name = format!("{algorithm} of {}: {name}", key.id);
            family.token(name, format!("{message}.{}", base64(signature)), Refused);
        }
    }
    family
}

/// Good tokens, written differently.
fn encodings(mint: &Mint) -> Family {
    let mut family = Family::new("encodings");
    // Names that need the signs in which the alphabets differ.
    let header = json!({ "alg": "RS256", "kid": "rsa", "x": "???>>>~~~" }).to_string();
    let claims = mint.claims(json!({ "x": "???>>>~~~???>>>~~~a" })).to_string();
    let good = mint.rsa.token("RS256", header, claims);
    family.token("as it is", &good, Good);
    let parts: Vec<_> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let standard = |part: &str| part.replace('-', "+").replace('_', "/");
    let after = |part: &str| {
        let last = part.chars().last().unwrap();
        let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain("-_".chars()).collect();
        let place = alphabet.iter().position(|it| *it == last).unwrap();
        format!("{}{}", &part[..part.len() - 1], alphabet[(place + 1) % 64])
    };
    for (name, token, outcome) in [
        ("padded signature", format!("{good}=="), Refused),
        ("padded by one", format!("{good}="), Refused),
        ("padded header", format!("{header}=.{claims}.{signature}"), Refused),
        ("padded claims", format!("{header}.{claims}=.{signature}"), Refused),
        ("trailing bits of the signature", format!("{header}.{claims}.{}", after(signature)), Refused),
        ("trailing bits of the claims", format!("{header}.{}.{signature}", after(claims)), Refused),
        ("trailing bits of the header", format!("{}.{claims}.{signature}", after(header)), Refused),
        ("the other alphabet", standard(&good), Refused),
        ("the other alphabet in the header", format!("{}.{claims}.{signature}", standard(header)), Refused),
        ("the other alphabet in the claims", format!("{header}.{}.{signature}", standard(claims)), Refused),
        ("the other alphabet in the signature", format!("{header}.{claims}.{}", standard(signature)), Refused),
        ("a tilde", format!("{header}.{claims}.{signature}~"), Refused),
        ("a blank inside", format!("{header}.{claims} .{signature}"), Refused),
        ("a tab inside", format!("{header}.{claims}.\t{signature}"), Refused),
        ("encoded as in URLs", good.replace('.', "%2E"), Refused),
        ("a line end as in URLs", format!("{good}%0A"), Refused),
        ("padding as in URLs", format!("{good}%3D"), Refused),
        ("a plus for a blank", format!("{header}.{claims}.+{signature}"), Refused),
        ("upper case", good.to_uppercase(), Unknown),
        ("lower case", good.to_lowercase(), Unknown),
        ("encoded twice", base64(&good), Unknown),
        ("each part encoded twice", parts.iter().map(base64).collect::<Vec<_>>().join("."), Unknown),
        ("a dot before it", format!(".{good}"), Unknown),
        ("a dot after it", format!("{good}."), Unknown),
        ("two dots after it", format!("{good}.."), Unknown),
        ("two dots between", good.replacen('.', "..", 1), Unknown),
        ("four parts", format!("{good}.{signature}"), Unknown),
        ("six parts", format!("{good}.{good}"), Unknown),
        ("no signature", format!("{header}.{claims}"), Unknown),
        ("no signature but its dot", format!("{header}.{claims}."), Refused),
        ("no header", format!("{claims}.{signature}"), Unknown),
        ("no header but its dot", format!(".{claims}.{signature}"), Refused),
        ("no claims", format!("{header}.{signature}"), Unknown),
        ("no claims but their dot", format!("{header}..{signature}"), Unknown),
        ("the header only", header.to_owned(), Unknown),
        ("the claims only", format!(".{claims}."), Refused),
        ("parts swapped", format!("{claims}.{header}.{signature}"), Unknown),
        ("parts the wrong way round", format!("{signature}.{claims}.{header}"), Refused),
        ("dots only", "..".into(), Unknown),
        ("one dot", ".".into(), Unknown),
        ("many dots", ".".repeat(1000), Unknown),
        ("letters and dots", "a.b.c".into(), Unknown),
        ("in quotes", format!("\"{good}\""), Refused),
        ("in brackets", format!("<{good}>"), Refused),
        ("with a prefix", format!("jwt:{good}"), Refused),
    ] {
        family.token(name, token, outcome);
    }
    family
}
