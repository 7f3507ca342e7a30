#include "service/sr_config.hpp"

#include <charconv>

#include "core/text.hpp"

namespace vnvme::service {
namespace {

constexpr std::uint64_t kBlobPage = 4096;

Result<std::uint32_t> parse_strip(const std::string& text) {
  std::uint32_t kib = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), kib);
  bool power_of_two = kib != 0 && (kib & (kib - 1)) == 0;
  if (error != std::errc{} || end != text.data() + text.size() || !power_of_two || kib > 4096)
    return fail(Errc::invalid_argument, "strip_kib=" + text + " is not a power of two from 1 to 4096");
  return kib;
}

std::vector<std::string> parse_list(const std::string& text) {
  std::vector<std::string> out;
  for (std::string& item : split(text, ','))
    if (!item.empty()) out.push_back(std::move(item));
  return out;
}

Result<void> assign(SrConfig& config, const std::string& key, const std::string& value) {
  if (key == "dpu")
    config.dpu = value;
  else if (key == "drives")
    config.drives = parse_list(value);
  else if (key == "force_drives")
    config.force_drives = parse_list(value);
  else if (key == "raid")
    config.raid = value == "none" ? "" : value;
  else if (key == "pool_uuid")
    config.pool_uuid = value;
  else if (key == "sr_uuid")
    config.sr_uuid = value;
  else if (key == "strip_kib") {
    auto kib = parse_strip(value);
    if (!kib) return fail(std::move(kib.error()));
    config.strip_kib = *kib;
  } else if (key == "cluster") {
    auto size = parse_bytes(value);
    if (!size) return fail(Errc::invalid_argument, "cluster=" + value + ": " + size.error().text);
    // SPDK: a multiple of a blob page; what it answers else does not name the key.
    if (size->value < kBlobPage || size->value % kBlobPage != 0)
      return fail(Errc::invalid_argument, "cluster=" + value + "; it is a multiple of 4KiB, such as 4MiB");
    config.cluster = *size;
  } else if (key == "provisioning") {
    if (value != "thin" && value != "thick")
      return fail(Errc::invalid_argument, "provisioning=" + value + "; it is thin or thick");
    config.provisioning = value == "thin" ? Provisioning::thin : Provisioning::thick;
  } else if (key == "wipe") {
    if (value == "zero")
      config.wipe = Wipe::zero;
    else if (value == "unmap")
      config.wipe = Wipe::unmap;
    else if (value == "none")
      config.wipe = Wipe::none;
    else
      return fail(Errc::invalid_argument, "wipe=" + value + "; it is zero, unmap or none");
  }
  return {};
}

// Keys that XAPI or earlier calls may add and that mean nothing to us.
bool ignored(const std::string& key) {
  return key == "SRmaster" || key == "serials" || key == "uri";
}

}  // namespace

const smapi::Strings& sr_config_keys() {
  static const smapi::Strings keys{
      {"dpu", "the DPU: a name from vnvmed.json, or its control endpoint (unix:/path, tcp:ADDRESS:PORT)"},
      {"drives", "drives for the pool: names or serials, separated by commas; see `vnvme drives`"},
      {"raid", "RAID level over several drives: raid0, raid1, concat, ...; default none"},
      {"strip_kib", "strip size of the RAID in KiB, a power of two; default 128 where the level has one"},
      {"provisioning", "thin (default) or thick"},
      {"wipe", "how deleted data is erased: zero (default), unmap or none"},
      {"cluster", "allocation unit of the pool, e.g. 4MiB; default chosen by the DPU"},
      {"force_drives", "serials of drives that hold data which may be lost"},
      {"pool_uuid", "an existing pool instead of drives"},
      {"sr_uuid", "written by vnvme: the SR this configuration belongs to"},
  };
  return keys;
}

Result<SrConfig> parse_sr_config(const smapi::Strings& configuration, bool strict) {
  SrConfig config;
  for (const auto& [key, value] : configuration) {
    if (value.size() > 4096)
      return fail(Errc::invalid_argument, "device-config:" + key + " is longer than 4096 bytes");
    if (!sr_config_keys().contains(key) && !ignored(key) && strict) {
      std::vector<std::string> known;
      for (const auto& [name, meaning] : sr_config_keys()) known.push_back(name);
      return fail(Errc::invalid_argument,
                  "device-config:" + key + " is not known; there are " + join(known, ", "));
    }
    VNVME_TRY(assign(config, key, value));
  }
  return config;
}

smapi::Strings describe_sr(const SrRecord& sr, const std::string& dpu) {
  smapi::Strings out{{"dpu", dpu}, {"sr_uuid", sr.id.value}, {"pool_uuid", sr.pool.value}};
  if (!sr.drives.empty()) out["drives"] = join(sr.drives, ",");
  std::vector<std::string> serials;
  for (const auto& s : sr.serials)
    if (!s.empty()) serials.push_back(s);
  if (!serials.empty()) out["serials"] = join(serials, ",");
  if (!sr.raid_level.empty()) out["raid"] = sr.raid_level;
  if (sr.strip_kib != 0) out["strip_kib"] = std::to_string(sr.strip_kib);
  out["provisioning"] = sr.provisioning == Provisioning::thin ? "thin" : "thick";
  out["wipe"] = sr.wipe == Wipe::zero ? "zero" : sr.wipe == Wipe::unmap ? "unmap" : "none";
  return out;
}

}  // namespace vnvme::service
