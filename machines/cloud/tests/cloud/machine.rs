//! A real machine on a real host: from `aws ec2 run-instances` to its own metadata, through the end of the host's program.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use varve_cloud::agent::{Agent, AgentConfig, HostState, Link, LinkConfig};
use varve_cloud::hosts::protocol::Join;
use varve_hypervisor::{AcceleratorChoice, Machines, Qemu};
use varve_testkit::Guest;

use crate::service::{Service, call, states};

/// Emulated machines of a busy host are slow.
const LIMIT: Duration = Duration::from_secs(400);
/// What the guest does: finds its network, asks for its metadata in both ways, and listens to the power button.
const SCRIPT: &str = r#"
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\npoweroff -f\n' > /etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080
acpid -l /dev/null
ip link set lo up
ip link set eth0 up
printf '#!/bin/sh\n[ "$1" = bound ] && ip addr add $ip/$mask dev $interface\n' > /lease
chmod +x /lease
udhcpc -q -n -t 20 -i eth0 -s /lease
echo UUID=$(cat /sys/class/dmi/id/product_uuid)
server=169.254.169.254
echo NOTOKEN=$(wget -q -O - http://$server/latest/meta-data/instance-id || echo refused)
printf 'PUT /latest/api/token HTTP/1.0\r\nHost: x\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n' > /put
token=$( (cat /put; sleep 5) | nc $server 80 | tail -n 1)
get() { wget -q -O - --header "X-aws-ec2-metadata-token: $token" http://$server/latest/$1; }
echo ID=$(get meta-data/instance-id) TYPE=$(get meta-data/instance-type)
get user-data > /user-data
echo USERDATA=$(cat /user-data)
echo GUEST-READY
"#;
const MODULES: [&str; 6] = ["virtio_blk", "failover", "net_failover", "virtio_net", "button", "evdev"];
/// What leads the machine to its metadata; `varve` does it itself.
const RELAY: &str = r#"#!/usr/bin/env python3
import os, socket, sys, threading
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
def up():
    while data := os.read(0, 65536):
        server.sendall(data)
    server.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := server.recv(65536):
    os.write(1, data)
"#;

/// An ISO image with the guest's kernel; `None` if something is missing.
fn image(directory: &Path) -> Option<()> {
    let tools = [
        "/usr/bin/xorriso",
        "/usr/lib/ISOLINUX/isolinux.bin",
        "/usr/lib/syslinux/modules/bios/ldlinux.c32",
        "/usr/bin/python3",
    ];
    if let Some(missing) = tools.iter().find(|tool| !Path::new(tool).exists()) {
        assert!(std::env::var_os("CI").is_none(), "CI must have {missing}");
        println!("skipped: there is no {missing}");
        return None;
    }
    let guest = Guest::find()?;
    let tree = directory.join("tree");
    fs::create_dir_all(&tree).unwrap();
    fs::copy(tools[1], tree.join("isolinux.bin")).unwrap();
    fs::copy(tools[2], tree.join("ldlinux.c32")).unwrap();
    fs::copy(guest.kernel(), tree.join("kernel")).unwrap();
    guest.initramfs(&tree.join("initrd"), &MODULES, SCRIPT);
    fs::write(
        tree.join("isolinux.cfg"),
        "DEFAULT g\nLABEL g\nKERNEL kernel\nAPPEND initrd=initrd console=ttyS0 quiet panic=-1 no_timer_check\n",
    )
    .unwrap();
    let mut xorriso = Command::new(tools[0]);
    xorriso.args([
        "-as",
        "mkisofs",
        "-quiet",
        "-b",
        "isolinux.bin",
        "-c",
        "boot.cat",
        "-no-emul-boot",
        "-boot-load-size",
        "4",
        "-boot-info-table",
        "-o",
    ]);
    let made = xorriso.arg(directory.join("disk.img")).arg(&tree).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(())
}

/// The host: its program's part, which can be ended and started again.
struct HostProgram {
    config: AgentConfig,
    link: Link,
}

impl HostProgram {
    async fn join(service: &Service) -> Self {
        let directory = service.scratch.directory("host");
        let relay = service.scratch.join("relay");
        fs::write(&relay, RELAY).unwrap();
        fs::set_permissions(&relay, fs::Permissions::from_mode(0o755)).unwrap();
        let to = LinkConfig { url: format!("http://{}", service.address), fingerprint: None };
        let token = service.cloud.join_token().await.unwrap();
        let join = Join { name: "one".into(), zone: None, cores: 2, memory: 2048, version: "1".into() };
        let link = Link::new(&to, &token).unwrap();
        let joined = link.join(&join).await.unwrap();
        let again = link.join(&join).await.unwrap_err();
        assert!(again.to_string().contains("called 'one' already"), "{again}");
        let link = link.with_token(&joined.token);
        HostState { service: to, name: "one".into(), joined }.write(&directory).unwrap();
        assert!(HostState::read(&directory).unwrap().is_some());
        let qemu = Qemu::new(service.scratch.directory("cache"));
        let config = AgentConfig {
            machines: Arc::new(Machines::new(directory.join("machines"), vec![Box::new(qemu)])),
            directory,
            accelerator: AcceleratorChoice::Auto,
            cores: 2,
            memory: 2048,
            address: Ipv4Addr::LOCALHOST,
            relay,
            version: "1".into(),
            clock: SystemTime::now,
        };
        Self { config, link }
    }

    /// The program; what is dropped ends at once.
    fn start(&self) -> Program {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (config, link) = (self.config.clone(), self.link.clone());
        runtime.spawn(async move { Agent::new(config, link).unwrap().run(std::future::pending()).await });
        Program(Some(runtime))
    }
}

/// What the host's program does, all of which ends with it.
struct Program(Option<tokio::runtime::Runtime>);

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Nothing is left of a failed test.
struct Cleaning(PathBuf, PathBuf);

impl Drop for Cleaning {
    fn drop(&mut self) {
        let machines = Machines::new(self.0.clone(), vec![Box::new(Qemu::new(self.1.clone()))]);
        for (name, _) in machines.list().unwrap_or_default() {
            let _ = machines.delete(&name, varve_hypervisor::Deletion::Forced);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_knows_what_it_is_to_become() {
    let service = Service::start(None, SystemTime::now).await;
    if image(&service.scratch.join("images")).is_none() {
        return;
    }
    let (client, image) = (service.client("anna"), service.image().await);
    let host = HostProgram::join(&service).await;
    let _cleaning = Cleaning(host.config.directory.join("machines"), service.scratch.join("cache"));
    let program = host.start();
    let form = [
        ("ImageId", image.as_str()),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("InstanceType", "t2.nano"),
        ("UserData", "aGVsbG8tdXNlci1kYXRh"),
        ("MetadataOptions.HttpTokens", "required"),
    ];
    call(&client, "RunInstances", &form).await.unwrap();
    let id = client.tagged(&[]).await.unwrap()[0].id.clone();
    let state = async || states(&client.tagged(&[]).await.unwrap())[0].to_owned();
    let until = async |what: &str, wanted: &dyn Fn(&str, &str) -> bool| {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let console = String::from_utf8_lossy(&client.console(&id).await.unwrap()).into_owned();
            let now = state().await;
            if wanted(&now, &console) {
                return console;
            }
            let reason = client.tagged(&[]).await.unwrap()[0].reason.clone();
            assert!(tokio::time::Instant::now() < end, "{what}: it is {now} ({reason:?})\n{console}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let console =
        until("its metadata", &|state, console| state == "running" && console.contains("GUEST-READY")).await;
    for line in [
        format!("ID={id} TYPE=t2.nano"),
        "USERDATA=hello-user-data".into(),
        "NOTOKEN=refused".into(),
        "UUID=ec2".into(),
    ] {
        assert!(console.contains(&line), "{line} is not in\n{console}");
    }

    // The program ends without a word and is started again: the machine is the same one, and is the only one.
    let process = |service: &Service| {
        let directory = service.scratch.join("host/machines").join(&id);
        fs::read_to_string(directory.join("qemu.pid")).unwrap()
    };
    let before = process(&service);
    drop(program);
    let program = host.start();
    call(&client, "RebootInstances", &[("InstanceId.1", &id)]).await.unwrap();
    until("its restart", &|_, console| console.matches("GUEST-READY").count() == 2).await;
    assert_ne!(process(&service), before, "it was restarted");
    call(&client, "StopInstances", &[("InstanceId.1", &id)]).await.unwrap();
    until("its stop", &|state, _| state == "stopped").await;

    // What is wanted while nobody is there to do it is done later.
    drop(program);
    client.terminate(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(state().await, "shutting-down");
    let _program = host.start();
    until("its end", &|state, _| state == "terminated").await;
    assert_eq!(
        fs::read_dir(service.scratch.join("host/machines"))
            .unwrap()
            .filter(|entry| { !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.') })
            .count(),
        0
    );
}
