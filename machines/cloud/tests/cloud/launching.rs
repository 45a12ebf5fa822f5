//! Instances from their launch to their end, quotas, and what is asked for twice.

use std::collections::BTreeSet;

use varve_cloud::client::Launch;
use varve_cloud::tag::Tag;

use crate::service::{Service, call, code, everywhere, ids, launch, states};

#[test]
fn instances_live_and_die() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let mut host = service.host("one", 8, 8192).await;
        let tags = vec![Tag { key: "role".into(), value: "w*rker".into() }];
        let order =
            Launch { tags: tags.clone(), user_data: Some(b"#!/bin/sh\n".to_vec()), ..launch(&image, 1, 3) };
        let made = client.run(&order).await.unwrap();
        assert_eq!(states(&made), ["pending"; 3]);
        assert_eq!(made[2].launch_index, 2);

        assert_eq!(host.obey().await.len(), 3);
        let found = client.tagged(&tags).await.unwrap();
        assert_eq!(states(&found), ["running"; 3]);
        assert_eq!(found[0].address.as_deref(), Some("192.0.2.1"));
        assert!(found[0].tags.contains(&tags[0]));

        let ids = ids(&found);
        let one = [("InstanceId.1", ids[0].as_str())];
        call(&client, "StopInstances", &one).await.unwrap();
        assert_eq!(client.describe(&ids[..1]).await.unwrap()[0].state, "stopping");
        host.obey().await;
        assert_eq!(client.describe(&ids[..1]).await.unwrap()[0].state, "stopped");
        let usage = &service.cloud.hosts().await.unwrap()[0];
        assert_eq!((usage.taken_cores, usage.taken_memory), (2, 1024));
        assert_eq!(code(call(&client, "RebootInstances", &one).await), "IncorrectInstanceState");
        call(&client, "StartInstances", &one).await.unwrap();
        host.obey().await;
        call(&client, "RebootInstances", &one).await.unwrap();
        assert_eq!(host.obey().await.iter().map(|order| (order.starts, order.restarts)).max(), Some((2, 1)));

        client.terminate(&ids).await.unwrap();
        client.terminate(&ids).await.unwrap();
        assert_eq!(states(&client.describe(&ids).await.unwrap()), ["shutting-down"; 3]);
        assert!(host.obey().await.is_empty());
        let gone = client.describe(&ids).await.unwrap();
        assert_eq!(states(&gone), ["terminated"; 3]);
        assert!(gone[0].reason.as_ref().unwrap().contains("User initiated"));
        let usage = &service.cloud.hosts().await.unwrap()[0];
        assert_eq!((usage.taken_cores, usage.taken_memory), (0, 0));
        assert_eq!(code(call(&client, "StartInstances", &one).await), "IncorrectInstanceState");
    });
}

#[test]
fn the_same_request_makes_nothing_new() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let _host = service.host("one", 100, 100 << 10).await;
        let order = Launch { client_token: Some("once".into()), ..launch(&image, 2, 2) };
        // All at once, and through another process as well.
        let other = service.another().await.client("anna");
        let runs = (0..20).map(|number| {
            let (client, order) =
                (if number % 2 == 0 { client.clone() } else { other.clone() }, order.clone());
            tokio::spawn(async move { ids(&client.run(&order).await.unwrap()) })
        });
        let mut seen = BTreeSet::new();
        for run in runs.collect::<Vec<_>>() {
            seen.insert(run.await.unwrap());
        }
        assert_eq!(seen.len(), 1);
        assert_eq!(client.tagged(&[]).await.unwrap().len(), 2);
        let others = Launch { count: (1, 1), ..order.clone() };
        assert_eq!(code(client.run(&others).await), "IdempotentParameterMismatch");
        // Tokens of others are others.
        assert_ne!(ids(&service.client("ben").run(&order).await.unwrap()), *seen.first().unwrap());
    });
}

#[test]
fn nobody_has_more_than_there_is() {
    everywhere(async |service| {
        let (anna, ben, image) = (service.client("anna"), service.client("ben"), service.image().await);
        assert_eq!(code(anna.run(&launch(&image, 1, 1)).await), "InsufficientInstanceCapacity");
        let _host = service.host("one", 50, 100 << 10).await;
        assert_eq!(code(anna.run(&launch(&image, 41, 50)).await), "InstanceLimitExceeded");
        let big = Launch { kind: Some("m5.24xlarge".into()), ..launch(&image, 1, 1) };
        assert_eq!(code(anna.run(&big).await), "VcpuLimitExceeded");
        assert_eq!(anna.run(&launch(&image, 1, 50)).await.unwrap().len(), 40);
        assert_eq!(code(anna.run(&launch(&image, 1, 1)).await), "InstanceLimitExceeded");
        // Many at once, through two processes: as many as fit, and not one more.
        let other = service.another().await.client("ben");
        let runs = (0..16).map(|number| {
            let (client, order) =
                (if number % 2 == 0 { ben.clone() } else { other.clone() }, launch(&image, 1, 1));
            tokio::spawn(async move { client.run(&order).await })
        });
        let mut made = 0;
        for run in runs.collect::<Vec<_>>() {
            match run.await.unwrap() {
                Ok(instances) => made += instances.len(),
                Err(error) => assert_eq!(error.code(), Some("InsufficientInstanceCapacity"), "{error}"),
            }
        }
        let host = &service.cloud.hosts().await.unwrap()[0];
        assert_eq!((made, host.taken_cores), (10, 50));
    });
}

#[test]
fn what_does_not_make_sense_is_refused_by_name() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let _host = service.host("one", 8, 8192).await;
        let too_much = "QUFB".repeat(6000);
        for (more, expected) in [
            (vec![("DryRun", "true")], "DryRunOperation"),
            (vec![("Colour", "red")], "UnknownParameter"),
            (vec![("MinCount", "5")], "InvalidParameterValue"),
            (vec![("MaxCount", "1001")], "InvalidParameterValue"),
            (vec![("ImageId", "ami-1")], "InvalidAMIID.Malformed"),
            (vec![("ImageId", "ami-00000000000000000")], "InvalidAMIID.NotFound"),
            (vec![("InstanceType", "x1.mega")], "InvalidParameterValue"),
            (vec![("KeyName", "none")], "InvalidKeyPair.NotFound"),
            (vec![("UserData", "%")], "InvalidUserData.Malformed"),
            (vec![("UserData", too_much.as_str())], "InvalidParameterValue"),
            (vec![("Placement.AvailabilityZone", "moon-1")], "InvalidParameterValue"),
            (vec![("Placement.Tenancy", "dedicated")], "InvalidParameterValue"),
            (vec![("SubnetId", "subnet-1")], "UnsupportedOperation"),
            (vec![("BlockDeviceMapping.1.DeviceName", "/dev/sdb")], "UnsupportedOperation"),
            (vec![("MetadataOptions.HttpEndpoint", "disabled")], "InvalidParameterValue"),
            (
                vec![
                    ("TagSpecification.1.ResourceType", "instance"),
                    ("TagSpecification.1.Tag.1.Key", "aws:x"),
                ],
                "InvalidParameterValue",
            ),
        ] {
            let mut parameters = vec![("ImageId", image.as_str()), ("MinCount", "1"), ("MaxCount", "1")];
            parameters.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
            parameters.extend(&more);
            assert_eq!(code(call(&client, "RunInstances", &parameters).await), expected, "{more:?}");
        }
        assert_eq!(code(call(&client, "RunInstances", &[("ImageId", &image)]).await), "MissingParameter");
        assert_eq!(code(call(&client, "MakeCoffee", &[]).await), "InvalidAction");
        assert!(client.tagged(&[]).await.unwrap().is_empty());
    });
}

#[test]
fn who_is_protected_is_not_terminated() {
    everywhere(async |service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let mut host = service.host("one", 8, 8192).await;
        let made = client.run(&launch(&image, 1, 1)).await.unwrap();
        let id = made[0].id.as_str();
        let protect = |value| [("InstanceId", id), ("DisableApiTermination.Value", value)];
        call(&client, "ModifyInstanceAttribute", &protect("true")).await.unwrap();
        assert_eq!(code(client.terminate(&ids(&made)).await), "OperationNotPermitted");
        call(&client, "ModifyInstanceAttribute", &protect("false")).await.unwrap();
        let data = [("InstanceId", id), ("UserData.Value", "bmV3")];
        assert_eq!(code(call(&client, "ModifyInstanceAttribute", &data).await), "IncorrectInstanceState");
        host.obey().await;
        call(&client, "StopInstances", &[("InstanceId.1", id), ("Force", "true")]).await.unwrap();
        host.obey().await;
        call(&client, "ModifyInstanceAttribute", &data).await.unwrap();
        let asked =
            call(&client, "DescribeInstanceAttribute", &[("InstanceId", id), ("Attribute", "userData")])
                .await
                .unwrap();
        assert_eq!(asked.child("userData").unwrap().text("value"), Some("bmV3"));
        client.terminate(&ids(&made)).await.unwrap();
    });
}

#[test]
fn a_host_that_is_removed_takes_its_instances_along() {
    everywhere(async |service: Service| {
        let (client, image) = (service.client("anna"), service.image().await);
        let mut host = service.host("one", 8, 8192).await;
        let made = client.run(&launch(&image, 2, 2)).await.unwrap();
        host.obey().await;
        assert!(service.cloud.remove_host(host.joined.id.clone()).await.unwrap());
        assert!(!service.cloud.remove_host(host.joined.id).await.unwrap());
        let gone = client.describe(&ids(&made)).await.unwrap();
        assert_eq!(states(&gone), ["terminated"; 2]);
        // What they had in use is free again.
        let _host = service.host("one", 100, 100 << 10).await;
        assert_eq!(client.run(&launch(&image, 1, 40)).await.unwrap().len(), 40);
    });
}
