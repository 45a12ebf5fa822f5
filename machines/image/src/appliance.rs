//! The appliance (`.ova`): a tar archive of a description (OVF 1.0, DMTF DSP0243), a manifest of hashes, and a disk.

use sha2::{Digest as _, Sha256};

/// An appliance of one disk, which is a stream-optimised VMDK of `capacity` bytes.
///
/// # Errors
/// What writing into memory says.
pub(crate) fn appliance(name: &str, disk: &[u8], capacity: u64, epoch: u64) -> std::io::Result<Vec<u8>> {
    let disk_name = format!("{name}-disk1.vmdk");
    let description = description(name, &disk_name, disk.len(), capacity);
    let description_name = format!("{name}.ovf");
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    let manifest = format!(
        "SHA256({description_name})= {}\nSHA256({disk_name})= {}\n",
        hash(description.as_bytes()),
        hash(disk)
    );
    let mut archive = tar::Builder::new(Vec::new());
    // The description must be the first member.
    for (name, bytes) in [
        (description_name, description.as_bytes()),
        (format!("{name}.mf"), manifest.as_bytes()),
        (disk_name, disk),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(epoch);
        archive.append_data(&mut header, name, bytes)?;
    }
    archive.into_inner()
}

fn description(name: &str, disk: &str, size: usize, capacity: u64) -> String {
    let name = quick_xml::escape::escape(name);
    // The schema wants an item's fields in the order of the alphabet.
    let items: [&[(&str, &str)]; 5] = [
        &[("ElementName", "CPU"), ("InstanceID", "1"), ("ResourceType", "3"), ("VirtualQuantity", "1")],
        &[
            ("AllocationUnits", "byte * 2^20"),
            ("ElementName", "Memory"),
            ("InstanceID", "2"),
            ("ResourceType", "4"),
            ("VirtualQuantity", "2048"),
        ],
        &[
            ("Address", "0"),
            ("ElementName", "SATA controller"),
            ("InstanceID", "3"),
            ("ResourceSubType", "AHCI"),
            ("ResourceType", "20"),
        ],
        &[
            ("AddressOnParent", "0"),
            ("ElementName", "Disk"),
            ("HostResource", "ovf:/disk/vmdisk1"),
            ("InstanceID", "4"),
            ("Parent", "3"),
            ("ResourceType", "17"),
        ],
        &[
            ("AutomaticAllocation", "true"),
            ("Connection", "network"),
            ("ElementName", "Network card"),
            ("InstanceID", "5"),
            ("ResourceSubType", "E1000"),
            ("ResourceType", "10"),
        ],
    ];
    let field = |(name, value): &(&str, &str)| format!("        <rasd:{name}>{value}</rasd:{name}>\n");
    let item = |fields: &[(&str, &str)]| {
        format!("      <Item>\n{}      </Item>\n", fields.iter().map(field).collect::<String>())
    };
    let items: String = items.into_iter().map(item).collect();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:id="file1" ovf:href="{disk}" ovf:size="{size}"/>
  </References>
  <DiskSection>
    <Info>The disks</Info>
    <Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{capacity}" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>The networks</Info>
    <Network ovf:name="network"><Description>The network that servers are reached by</Description></Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A machine whose operating system is streamed</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101">
      <Info>The operating system</Info>
      <Description>Linux, 64 bit</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The hardware</Info>
      <System>
        <vssd:ElementName>Virtual hardware</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
      </System>
{items}    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_comes_first_and_the_hashes_are_right() {
        let bytes = appliance("varve", b"disk", 1 << 20, 1_700_000_000).expect("made");
        assert_eq!(bytes, appliance("varve", b"disk", 1 << 20, 1_700_000_000).expect("again"));
        let mut members = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().expect("a tar") {
            let mut entry = entry.expect("a member");
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).expect("text");
            members.push((entry.path().expect("path").display().to_string(), text));
        }
        let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["varve.ovf", "varve.mf", "varve-disk1.vmdk"]);
        let hash = hex::encode(Sha256::digest(members[0].1.as_bytes()));
        assert!(members[1].1.contains(&format!("SHA256(varve.ovf)= {hash}")));
        let mut reader = quick_xml::Reader::from_str(&members[0].1);
        let mut elements = 0;
        loop {
            match reader.read_event().expect("well-formed") {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Start(_) => elements += 1,
                _ => {}
            }
        }
        assert!(elements > 30, "{elements}");
    }
}
