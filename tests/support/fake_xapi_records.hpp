// Records as complete as tests need them, in XAPI's JSON form: references as
// "OpaqueRef:...", 64-bit integers as numbers, maps as objects.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "core/json.hpp"

namespace vnvme::test {

inline std::string fake_uuid(std::uint64_t number) {
  char text[40];
  std::snprintf(text, sizeof text, "00000000-0000-4000-8000-%012llx",
                static_cast<unsigned long long>(number));
  return text;
}

inline Json default_record(const std::string& cls, std::uint64_t number) {
  const Json none = Json::object();
  const std::string null = "OpaqueRef:NULL";
  Json out{{"uuid", fake_uuid(number)}, {"other_config", none}};
  auto add = [&out](Json more) { out.update(more); };
  if (cls == "VM")
    add({{"name_label", "vm"},
         {"power_state", "Halted"},
         {"is_a_template", false},
         {"is_default_template", false},
         {"is_a_snapshot", false},
         {"is_control_domain", false},
         {"domain_type", "hvm"},
         {"domid", -1},
         {"resident_on", null},
         {"affinity", null},
         {"snapshot_of", null},
         {"memory_static_max", 4294967296},
         {"memory_dynamic_min", 4294967296},
         {"memory_dynamic_max", 4294967296},
         {"blocked_operations", none},
         {"current_operations", none},
         {"VBDs", Json::array()},
         {"HVM_shadow_multiplier", 1.0},
         {"snapshot_time", "19700101T00:00:00Z"}});
  if (cls == "VBD")
    add({{"VM", null},
         {"VDI", null},
         {"device", ""},
         {"userdevice", "4"},
         {"type", "Disk"},
         {"mode", "RW"},
         {"currently_attached", false},
         {"empty", false}});
  if (cls == "VDI")
    add({{"location", fake_uuid(number)},
         {"name_label", "disk"},
         {"SR", null},
         {"snapshot_of", null},
         {"virtual_size", 1073741824},
         {"read_only", false},
         {"is_a_snapshot", false},
         {"managed", true}});
  if (cls == "SR") add({{"name_label", "sr"}, {"type", "vnvme"}, {"shared", false}, {"PBDs", Json::array()}});
  if (cls == "PBD")
    add({{"host", null}, {"SR", null}, {"device_config", none}, {"currently_attached", false}});
  if (cls == "host")
    add({{"hostname", "xen1"},
         {"address", "127.0.0.1"},
         {"enabled", true},
         {"software_version", Json{{"product_brand", "XCP-ng"}}},
         {"chipset_info", Json{{"iommu", "true"}}}});
  if (cls == "pool") add({{"master", null}, {"name_label", ""}});
  return out;
}

}  // namespace vnvme::test
