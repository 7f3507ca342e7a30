"""Records of the fake XAPI when they are new: the fields that clients look at, in the types of XAPI's datamodel."""
from xapi_db import NULL

CLASSES = ["session", "task", "pool", "host", "VM", "VBD", "VDI", "SR", "PBD", "SM", "message"]
# Fields that are maps, and sets: they get add_to_/remove_from_, and add_/remove_ calls.
MAPS = {"other_config", "blocked_operations", "sm_config", "device_config", "platform", "xenstore_data",
        "current_operations", "HVM_boot_params"}
READ_ONLY = {"uuid", "power_state", "domid", "resident_on", "currently_attached", "is_a_snapshot", "location",
             "physical_utilisation", "VBDs", "VDIs", "PBDs", "current_operations", "allowed_operations"}


def vm(**fields):
    four = 4 << 30
    return {"name_label": "", "name_description": "", "power_state": "Halted", "is_a_template": False,
            "is_default_template": False, "is_a_snapshot": False, "is_control_domain": False, "domain_type": "hvm",
            "HVM_boot_policy": "BIOS order", "HVM_boot_params": {"firmware": "bios"}, "domid": -1,
            "resident_on": NULL, "affinity": NULL, "snapshot_of": NULL, "snapshots": [], "parent": NULL, "snapshot_metadata": "",
            "memory_static_max": four, "memory_dynamic_min": four, "memory_dynamic_max": four,
            "memory_static_min": 0, "other_config": {}, "blocked_operations": {}, "current_operations": {},
            "allowed_operations": [], "VBDs": [], "VIFs": [], "VCPUs_max": 1, "HVM_shadow_multiplier": 1.0,
            "platform": {}, "xenstore_data": {}, "tags": [], "attached_PCIs": [],
            "snapshot_time": "19700101T00:00:00Z", **fields}


def vbd(**fields):
    return {"VM": NULL, "VDI": NULL, "device": "", "userdevice": "autodetect", "bootable": False, "mode": "RW",
            "type": "Disk", "unpluggable": True, "empty": False, "currently_attached": False, "reserved": False,
            "other_config": {}, "allowed_operations": [], "current_operations": {},
            "qos_algorithm_type": "", "qos_algorithm_params": {}, **fields}


def vdi(**fields):
    return {"name_label": "", "name_description": "", "SR": NULL, "VBDs": [], "location": "", "virtual_size": 0,
            "physical_utilisation": 0, "type": "user", "sharable": False, "read_only": False, "managed": True,
            "missing": False, "is_a_snapshot": False, "snapshot_of": NULL, "snapshots": [], "other_config": {},
            "sm_config": {}, "tags": [], "on_boot": "persist", "cbt_enabled": False,
            "snapshot_time": "19700101T00:00:00Z", **fields}


def sr(**fields):
    return {"name_label": "", "name_description": "", "type": "", "content_type": "user", "shared": False,
            "VDIs": [], "PBDs": [], "virtual_allocation": 0, "physical_utilisation": 0, "physical_size": 0,
            "other_config": {}, "sm_config": {}, "tags": [], "clustered": False, **fields}


def pbd(**fields):
    return {"host": NULL, "SR": NULL, "device_config": {}, "currently_attached": False, "other_config": {}, **fields}


def host(**fields):
    return {"name_label": "xen1", "name_description": "", "hostname": "xen1", "address": "127.0.0.1",
            "enabled": True, "resident_VMs": [], "PBDs": [], "PIFs": [], "other_config": {},
            "software_version": {"product_brand": "XCP-ng", "product_version": "8.3.0", "xapi": "25.6"},
            "chipset_info": {"iommu": "true"}, "capabilities": ["xen-3.0-x86_64", "hvm-3.0-x86_64"], "tags": [],
            **fields}


def pool(master):
    return {"name_label": "", "name_description": "", "master": master, "default_SR": NULL, "other_config": {},
            "tags": [], "ha_enabled": False}


def task(name):
    return {"name_label": name, "name_description": "", "status": "pending", "progress": 0.0, "result": "",
            "error_info": [], "other_config": {}, "subtasks": [], "subtask_of": NULL}
