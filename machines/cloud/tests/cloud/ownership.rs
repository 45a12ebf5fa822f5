//! What is somebody else's isn't there.

use crate::service::{call, code, everywhere, ids, launch};

#[test]
fn nobody_reaches_what_is_not_theirs() {
    everywhere(async |service| {
        let (anna, ben, image) = (service.client("anna"), service.client("ben"), service.image().await);
        let _host = service.host("one", 8, 8192).await;
        let made = anna.run(&launch(&image, 1, 1)).await.unwrap();
        let id = made[0].id.as_str();
        call(&anna, "CreateKeyPair", &[("KeyName", "hers"), ("KeyType", "ed25519")]).await.unwrap();
        let own =
            call(&anna, "RegisterImage", &[("Name", "hers"), ("ImageLocation", "disk.img")]).await.unwrap();
        let own = own.text("imageId").unwrap().to_owned();

        let many = [("InstanceId.1", id)];
        for action in [
            "DescribeInstances",
            "DescribeInstanceStatus",
            "StartInstances",
            "StopInstances",
            "RebootInstances",
            "TerminateInstances",
        ] {
            assert_eq!(code(call(&ben, action, &many).await), "InvalidInstanceID.NotFound", "{action}");
        }
        let one = [("InstanceId", id)];
        for (action, more) in [
            ("GetConsoleOutput", None),
            ("DescribeInstanceAttribute", Some(("Attribute", "userData"))),
            ("ModifyInstanceAttribute", Some(("DisableApiTermination.Value", "true"))),
            ("ModifyInstanceMetadataOptions", None),
        ] {
            let parameters: Vec<(&str, &str)> = one.into_iter().chain(more).collect();
            assert_eq!(code(call(&ben, action, &parameters).await), "InvalidInstanceID.NotFound", "{action}");
        }
        for action in ["CreateTags", "DeleteTags"] {
            for (resource, expected) in
                [(id, "InvalidInstanceID.NotFound"), (own.as_str(), "InvalidAMIID.NotFound")]
            {
                let tag = [("ResourceId.1", resource), ("Tag.1.Key", "k")];
                assert_eq!(code(call(&ben, action, &tag).await), expected, "{action}");
            }
        }
        assert_eq!(
            code(call(&ben, "DescribeKeyPairs", &[("KeyName.1", "hers")]).await),
            "InvalidKeyPair.NotFound"
        );
        assert_eq!(code(call(&ben, "DescribeImages", &[("ImageId.1", &own)]).await), "InvalidAMIID.NotFound");
        assert_eq!(code(call(&ben, "DeregisterImage", &[("ImageId", &own)]).await), "InvalidAMIID.NotFound");
        assert_eq!(code(call(&ben, "DeregisterImage", &[("ImageId", &image)]).await), "AuthFailure");
        assert_eq!(code(ben.run(&launch(&own, 1, 1)).await), "InvalidAMIID.NotFound");
        assert!(ben.tagged(&[]).await.unwrap().is_empty());
        assert_eq!(call(&ben, "DescribeTags", &[]).await.unwrap().items("tagSet").count(), 0);

        // Deleting somebody else's key pair deletes nothing.
        call(&ben, "DeleteKeyPair", &[("KeyName", "hers")]).await.unwrap();
        assert_eq!(call(&anna, "DescribeKeyPairs", &[]).await.unwrap().items("keySet").count(), 1);
        assert_eq!(anna.describe(&ids(&made)).await.unwrap()[0].state, "pending");
    });
}
