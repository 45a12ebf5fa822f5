//! Listings, filters, pages, images, key pairs, tags, and what SDKs ask for first.

use std::collections::BTreeSet;

use crate::service::{call, code, everywhere, ids, launch};

#[test]
fn listings_are_filtered_and_paged() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let mut host = service.host("one", 40, 40 << 10).await;
        for _ in 0..4 {
            client.run(&launch(&image, 5, 5)).await.unwrap();
        }
        host.obey().await;
        let last = client.run(&launch(&image, 3, 3)).await.unwrap();
        let count = async |parameters: &[(&str, &str)]| {
            let answer = call(&client, "DescribeInstances", parameters).await.unwrap();
            answer.items("reservationSet").map(|one| one.items("instancesSet").count()).sum::<usize>()
        };
        assert_eq!(count(&[]).await, 23);
        let state = |value| [("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", value)];
        assert_eq!(
            (count(&state("running")).await, count(&state("pend*")).await, count(&state("x")).await),
            (20, 3, 0)
        );
        assert_eq!(
            code(
                call(&client, "DescribeInstances", &[("Filter.1.Name", "colour"), ("Filter.1.Value.1", "x")])
                    .await
            ),
            "InvalidParameterValue"
        );
        let both = [("MaxResults", "5"), ("InstanceId.1", last[0].id.as_str())];
        assert_eq!(code(call(&client, "DescribeInstances", &both).await), "InvalidParameterCombination");

        let (mut seen, mut next) = (BTreeSet::new(), String::new());
        loop {
            let page = [("MaxResults", "7"), ("NextToken", next.as_str())];
            let answer = call(&client, "DescribeInstances", &page).await.unwrap();
            let instances = answer.items("reservationSet").flat_map(|one| one.items("instancesSet"));
            seen.extend(instances.map(|one| one.text("instanceId").unwrap().to_owned()));
            match answer.text("nextToken") {
                Some(token) => next = token.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen.len(), 23);
        let statuses = call(&client, "DescribeInstanceStatus", &[]).await.unwrap();
        assert_eq!(statuses.items("instanceStatusSet").count(), 20);
        let first = statuses.items("instanceStatusSet").next().unwrap();
        assert_eq!(first.child("systemStatus").unwrap().text("status"), Some("ok"));
        let all = call(&client, "DescribeInstanceStatus", &[("IncludeAllInstances", "true")]).await.unwrap();
        assert_eq!(all.items("instanceStatusSet").count(), 23);
        client.terminate(&ids(&last)).await.unwrap();
        assert_eq!(count(&state("shutting-down")).await, 3);
    });
}

#[test]
fn images_key_pairs_and_tags_come_and_go() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        for (location, expected) in [
            ("../cloud.db", "InvalidManifest"),
            ("none.img", "InvalidManifest"),
            ("/etc/passwd", "InvalidManifest"),
        ] {
            let form = [("Name", "mine"), ("ImageLocation", location)];
            assert_eq!(code(call(&client, "RegisterImage", &form).await), expected, "{location}");
        }
        let form = [("Name", "mine"), ("ImageLocation", "disk.img"), ("BootMode", "uefi")];
        let mine = call(&client, "RegisterImage", &form).await.unwrap().text("imageId").unwrap().to_owned();
        assert_eq!(code(call(&client, "RegisterImage", &form).await), "InvalidAMIName.Duplicate");
        assert_eq!(call(&client, "DescribeImages", &[]).await.unwrap().items("imagesSet").count(), 2);
        let own = call(&client, "DescribeImages", &[("Owner.1", "self")]).await.unwrap();
        let own: Vec<_> = own
            .items("imagesSet")
            .map(|one| (one.text("imageId").unwrap(), one.text("bootMode").unwrap()))
            .collect();
        assert_eq!(own, [(mine.as_str(), "uefi")]);
        call(&client, "CreateTags", &[("ResourceId.1", &mine), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")])
            .await
            .unwrap();
        let tags = call(
            &client,
            "DescribeTags",
            &[("Filter.1.Name", "resource-type"), ("Filter.1.Value.1", "image")],
        )
        .await
        .unwrap();
        assert_eq!(tags.items("tagSet").next().unwrap().text("value"), Some("v"));
        call(&client, "DeleteTags", &[("ResourceId.1", &mine), ("Tag.1.Key", "k"), ("Tag.1.Value", "other")])
            .await
            .unwrap();
        assert_eq!(call(&client, "DescribeTags", &[]).await.unwrap().items("tagSet").count(), 1);
        call(&client, "DeregisterImage", &[("ImageId", &mine)]).await.unwrap();
        assert_eq!(code(client.run(&launch(&mine, 1, 1)).await), "InvalidAMIID.NotFound");
        assert_eq!(call(&client, "DescribeTags", &[]).await.unwrap().items("tagSet").count(), 0);
        assert_eq!(
            call(&client, "DescribeImages", &[("ImageId.1", &image)])
                .await
                .unwrap()
                .items("imagesSet")
                .count(),
            1
        );

        let made = call(&client, "CreateKeyPair", &[("KeyName", "k"), ("KeyType", "ed25519")]).await.unwrap();
        assert!(made.text("keyMaterial").unwrap().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
        assert_eq!(
            code(call(&client, "CreateKeyPair", &[("KeyName", "k")]).await),
            "InvalidKeyPair.Duplicate"
        );
        let described = call(&client, "DescribeKeyPairs", &[("IncludePublicKey", "true")]).await.unwrap();
        let public = described.items("keySet").next().unwrap().text("publicKey").unwrap().to_owned();
        let imported = call(&client, "ImportKeyPair", &[("KeyName", "l"), ("PublicKeyMaterial", &public)])
            .await
            .unwrap();
        assert_eq!(imported.text("keyFingerprint"), made.text("keyFingerprint"));
        assert_eq!(
            code(call(&client, "ImportKeyPair", &[("KeyName", "m"), ("PublicKeyMaterial", "x")]).await),
            "InvalidKey.Format"
        );
        call(&client, "DeleteKeyPair", &[("KeyName", "k")]).await.unwrap();
        assert_eq!(call(&client, "DescribeKeyPairs", &[]).await.unwrap().items("keySet").count(), 1);
    });
}

#[test]
fn places_and_sizes_are_told() {
    everywhere(async |service| {
        let client = service.client("anna");
        let regions = call(&client, "DescribeRegions", &[]).await.unwrap();
        assert_eq!(regions.items("regionInfo").next().unwrap().text("regionName"), Some("local"));
        let zones = call(&client, "DescribeAvailabilityZones", &[]).await.unwrap();
        assert_eq!(zones.items("availabilityZoneInfo").next().unwrap().text("zoneName"), Some("local-a"));
        let sizes = call(&client, "DescribeInstanceTypes", &[("InstanceType.1", "t2.micro")]).await.unwrap();
        let size = sizes.items("instanceTypeSet").next().unwrap();
        assert_eq!(size.child("memoryInfo").unwrap().text("sizeInMiB"), Some("1024"));
        assert_eq!(
            code(call(&client, "DescribeInstanceTypes", &[("InstanceType.1", "x")]).await),
            "InvalidInstanceType"
        );
        let attributes = call(&client, "DescribeAccountAttributes", &[]).await.unwrap();
        assert_eq!(attributes.items("accountAttributeSet").count(), 3);
        let offerings = call(&client, "DescribeInstanceTypeOfferings", &[]).await.unwrap();
        assert!(offerings.items("instanceTypeOfferingSet").count() > 10);
    });
}
