//! Amazon's own clients: the command line `aws` and boto3.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::service::{Host, Service, secret};

/// The clients' programs, from `target/tools/aws` or the path; `None`, with the reason printed, if they aren't there.
pub(crate) struct Clients {
    pub(crate) aws: PathBuf,
    pub(crate) python: PathBuf,
}

impl Clients {
    pub(crate) fn find() -> Option<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/aws/bin");
        let found = if own.join("aws").exists() {
            Some(Self { aws: own.join("aws"), python: own.join("python") })
        } else {
            let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
            let there = works(Command::new("aws").arg("--version"))
                && works(Command::new("python3").args(["-c", "import boto3"]));
            there.then(|| Self { aws: "aws".into(), python: "python3".into() })
        };
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "CI must have awscli and boto3: .ci/run installs them");
            println!("skipped: there is no awscli with boto3, see CONTRIBUTING.md");
        }
        found
    }

    pub(crate) fn environment(command: &mut Command, service: &Service) {
        command
            .env("AWS_ACCESS_KEY_ID", "anna")
            .env("AWS_SECRET_ACCESS_KEY", secret("anna"))
            .env("AWS_DEFAULT_REGION", "local")
            .env("AWS_ENDPOINT_URL_EC2", service.endpoint())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", "")
            .env("NO_PROXY", "127.0.0.1");
    }

    /// Runs `aws ec2 …` and gives what it prints, as JSON.
    pub(crate) fn ec2(&self, service: &Service, words: &[&str]) -> Result<serde_json::Value, String> {
        let mut command = Command::new(&self.aws);
        command.args(["ec2", "--output", "json"]).args(words);
        Self::environment(&mut command, service);
        let Output { status, stdout, stderr } = command.output().expect("because it is there");
        if !status.success() {
            return Err(String::from_utf8_lossy(&stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&stdout);
        if text.trim().is_empty() {
            Ok(serde_json::Value::Null)
        } else {
            serde_json::from_str(&text).map_err(|error| error.to_string())
        }
    }
}

/// Does what it is told from now on.
fn obedient(mut host: Host) {
    tokio::spawn(async move {
        loop {
            host.obey().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_of_amazon() {
    let Some(clients) = Clients::find() else { return };
    let service = Service::start(None, SystemTime::now).await;
    let image = service.image().await;
    obedient(service.host("one", 8, 8192).await);
    let told = service.scratch.join("user-data");
    std::fs::write(&told, "#!/bin/sh\necho hello\n").unwrap();
    let (client, runtime) = (service.client("anna"), tokio::runtime::Handle::current());
    let work = move || {
        let ec2 = |words: &[&str]| clients.ec2(&service, words);
        // Waiting is done by our own client: that of the command line looks every 15 s.
        let until = |id: &str, state: &str| {
            runtime.block_on(async {
                while client.describe(&[id.to_owned()]).await.unwrap()[0].state != state {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        };
        let made = ec2(&[
            "run-instances",
            "--image-id",
            &image,
            "--count",
            "2",
            "--instance-type",
            "t2.nano",
            "--user-data",
            &format!("file://{}", told.display()),
            "--tag-specifications",
            "ResourceType=instance,Tags=[{Key=Name,Value=web}]",
        ])
        .unwrap();
        let id = made["Instances"][0]["InstanceId"].as_str().unwrap().to_owned();
        assert_eq!(made["Instances"][0]["State"]["Name"], "pending");
        until(&id, "running");
        let found = ec2(&[
            "describe-instances",
            "--filters",
            "Name=tag:Name,Values=web",
            "Name=instance-state-name,Values=running",
        ])
        .unwrap();
        let reservation = &found["Reservations"][0];
        assert_eq!(reservation["Instances"].as_array().unwrap().len(), 2);
        assert_eq!(reservation["OwnerId"], "anna");
        assert!(
            reservation["Instances"][0]["Tags"].as_array().unwrap().iter().any(|tag| tag["Value"] == "web")
        );
        let data =
            ec2(&["describe-instance-attribute", "--instance-id", &id, "--attribute", "userData"]).unwrap();
        assert_eq!(data["UserData"]["Value"], "IyEvYmluL3NoCmVjaG8gaGVsbG8K");
        let denied = ec2(&["stop-instances", "--dry-run", "--instance-ids", &id]).unwrap_err();
        assert!(denied.contains("DryRunOperation"), "{denied}");
        ec2(&["stop-instances", "--instance-ids", &id]).unwrap();
        until(&id, "stopped");
        let absent = ec2(&["terminate-instances", "--instance-ids", "i-00000000000000000"]).unwrap_err();
        assert!(absent.contains("InvalidInstanceID.NotFound"), "{absent}");
        let gone = ec2(&["terminate-instances", "--instance-ids", &id]).unwrap();
        assert_eq!(gone["TerminatingInstances"][0]["CurrentState"]["Name"], "shutting-down");
        until(&id, "terminated");
        let images = ec2(&["describe-images", "--owners", "operator"]).unwrap();
        assert_eq!(images["Images"][0]["ImageId"], image.as_str());
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_boto3() {
    let Some(clients) = Clients::find() else { return };
    let service = Service::start(None, SystemTime::now).await;
    let image = service.image().await;
    obedient(service.host("one", 8, 8192).await);
    let work = move || {
        let mut command = Command::new(&clients.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud/program.py")).arg(&image);
        Clients::environment(&mut command, &service);
        let Output { status, stdout, stderr } = command.output().expect("because it is there");
        let said = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
        assert!(status.success() && said.contains("everything was as expected"), "{said}");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
