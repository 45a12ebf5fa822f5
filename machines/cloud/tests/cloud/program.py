"""A program with boto3, as somebody would write it for Amazon's cloud. It ends with an exception where something is otherwise."""

import sys
import urllib.request

import boto3
from botocore.exceptions import ClientError

IMAGE = sys.argv[1]
ec2 = boto3.client("ec2")
cloud = boto3.resource("ec2")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
    else:
        raise AssertionError(f"{code} was expected")


fast = {"Delay": 1, "MaxAttempts": 60}
key = ec2.create_key_pair(KeyName="mine")
assert key["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----"), key["KeyMaterial"][:40]
assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["mine"]

instances = cloud.create_instances(
    ImageId=IMAGE,
    MinCount=2,
    MaxCount=3,
    InstanceType="t2.nano",
    KeyName="mine",
    UserData="#!/bin/sh\necho hällo < & >\n",
    MetadataOptions={"HttpTokens": "required"},
    InstanceInitiatedShutdownBehavior="terminate",
    TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "cluster", "Value": "a <b> & c"}]}],
)
assert len(instances) == 3
ids = [instance.id for instance in instances]
ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=fast)
ec2.get_waiter("instance_status_ok").wait(InstanceIds=ids, WaiterConfig=fast)

first = instances[0]
first.reload()
assert first.key_name == "mine" and first.image_id == IMAGE and first.state["Code"] == 16, first.state
assert {"Key": "cluster", "Value": "a <b> & c"} in first.tags, first.tags
assert first.metadata_options["HttpTokens"] == "required"
assert first.placement["AvailabilityZone"] == "local-a" and first.launch_time.year >= 2020
assert first.public_ip_address == "192.0.2.1"

found = list(cloud.instances.filter(Filters=[{"Name": "tag:cluster", "Values": ["a*"]}]))
assert sorted(instance.id for instance in found) == sorted(ids)
pages = ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
assert sum(len(reservation["Instances"]) for page in pages for reservation in page["Reservations"]) == 3

same = dict(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="t2.nano", ClientToken="once")
one, again = ec2.run_instances(**same), ec2.run_instances(**same)
assert one["ReservationId"] == again["ReservationId"]
refused("IdempotentParameterMismatch", ec2.run_instances, **{**same, "InstanceType": "t2.micro"})
refused("InstanceLimitExceeded", ec2.run_instances, ImageId=IMAGE, MinCount=500, MaxCount=500)
refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=["i-00000000000000000"])
refused("InvalidInstanceID.Malformed", ec2.describe_instances, InstanceIds=["instance"])
refused("InvalidParameterValue", ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["red"]}])
stranger = boto3.client("ec2", aws_access_key_id="anna", aws_secret_access_key="guessed")
refused("SignatureDoesNotMatch", stranger.describe_regions)

ec2.create_tags(Resources=ids, Tags=[{"Key": "Name", "Value": "worker"}])
assert len(ec2.describe_tags(Filters=[{"Name": "key", "Values": ["Name"]}])["Tags"]) == 3
ec2.delete_tags(Resources=ids, Tags=[{"Key": "Name"}])
assert not ec2.describe_tags(Filters=[{"Name": "key", "Values": ["Name"]}])["Tags"]

url = ec2.generate_presigned_url("describe_regions", ExpiresIn=60, HttpMethod="GET")
assert b"<regionName>local</regionName>" in urllib.request.urlopen(url).read()
assert "Output" in ec2.get_console_output(InstanceId=ids[0])
assert ec2.describe_instance_types(InstanceTypes=["t2.nano"])["InstanceTypes"][0]["MemoryInfo"]["SizeInMiB"] == 512

first.reboot()
first.stop()
ec2.get_waiter("instance_stopped").wait(InstanceIds=ids[:1], WaiterConfig=fast)
first.start()
ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig=fast)
ec2.terminate_instances(InstanceIds=ids)
ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=fast)
ec2.delete_key_pair(KeyName="mine")
print("everything was as expected")
