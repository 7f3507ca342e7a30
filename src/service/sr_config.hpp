// device_config of an SR: what an administrator writes at sr-create, and what
// vnvme gives back so that the SR can be found from it alone (C5). Pure.
#pragma once
#include <string>
#include <vector>

#include "vnvme/records.hpp"
#include "vnvme/result.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::service {

struct SrConfig {
  std::string dpu;                        // name or URI
  std::vector<std::string> drives;        // names or serials
  std::vector<std::string> force_drives;  // those whose contents may be lost
  std::string raid;                       // level; empty: none
  std::uint32_t strip_kib = 0;
  Provisioning provisioning = Provisioning::thin;
  Wipe wipe = Wipe::zero;
  Bytes cluster;
  std::string pool_uuid;  // an existing pool instead of drives
  std::string sr_uuid;
};

// Every key that is known, with what it means, for Plugin.Query and error texts.
const smapi::Strings& sr_config_keys();

// strict: an unknown key is an error that names the nearest known one. SR.attach is not strict: PBDs are old.
Result<SrConfig> parse_sr_config(const smapi::Strings& configuration, bool strict);
// What every PBD will carry.
smapi::Strings describe_sr(const SrRecord& sr, const std::string& dpu);

}  // namespace vnvme::service
