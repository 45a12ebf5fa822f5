//! The power is cut while a machine writes, again and again: what it was told to be on the disk is there at the next start.

use std::fs::File;
use std::time::Duration;

use varve_system::{Equipment, Installation};
use varve_testkit::{Machine, Random};

use super::operating_system;

const LONG: Duration = Duration::from_secs(240);
const DISK: u64 = 1 << 30;
const CUTS: u32 = 10;

/// Shows which of the files of all starts are whole, and writes more: each is synced before its number is shown, with others
/// around it that are not.
const SCRIPT: &str = "
    mkdir -p /root/kept
    whole=0
    for file in /root/kept/*; do
        [ \"$(tail -n 1 $file)\" = \"end of ${file##*/}\" ] && whole=$((whole + 1)) && echo \"OS: kept ${file##*/}\"
    done
    echo \"OS: $whole whole\"
    number=$(ls /root/kept | wc -l)
    while [ $number -lt 100000 ]; do
        number=$((number + 1))
        head -c 30000 /bin/busybox > /root/not-synced-$((number % 7))
        { head -c $((number * 7919 % 60000)) /bin/busybox; echo; echo \"end of $number\"; } |
            dd of=/root/kept/$number conv=fsync 2> /dev/null && echo \"OS: synced $number\"
    done
";

#[test]
fn what_was_synced_is_there_after_ten_power_cuts() {
    let Some(equipment) = Equipment::find() else { return };
    let installation = Installation::new();
    if operating_system::publish(&installation, SCRIPT).is_none() {
        return;
    }
    let disk = installation.path("disk");
    File::create(&disk).unwrap().set_len(DISK).unwrap();
    let server = installation.serve(None);
    let settings = operating_system::boot_settings(&installation, server.port());
    let mut machine = equipment.write_image(&settings, &installation.directory("image")).machine("");
    machine.disks = vec![disk];
    let mut random = Random::new(4);

    let mut acknowledged: Vec<String> = Vec::new();
    for cut in 0..=CUTS {
        let mut running = Machine::start(&machine).expect("because QEMU is part of the equipment");
        let console = running.wait_for_text(" whole\n", LONG);
        let kept: Vec<&str> = numbers(&console, "OS: kept ").collect();
        for number in &acknowledged {
            assert!(
                kept.contains(&number.as_str()),
                "file {number} was synced before cut {cut}, and is not whole:\n{console}"
            );
        }
        if cut == CUTS {
            break;
        }
        running.wait_for_text("OS: synced ", LONG);
        std::thread::sleep(Duration::from_millis(random.below(1500)));
        let console = running.power_cut();
        acknowledged.extend(numbers(&console, "OS: synced ").map(str::to_owned));
    }
    println!("{} files were synced before {CUTS} cuts, and all are there", acknowledged.len());
    assert!(acknowledged.len() > CUTS as usize, "{acknowledged:?}");
}

/// What stands behind a word in whole lines.
fn numbers<'a>(console: &'a str, word: &str) -> impl Iterator<Item = &'a str> {
    let whole = console.rfind('\n').map_or("", |end| &console[..end]);
    whole.lines().filter_map(move |line| line.strip_prefix(word))
}
