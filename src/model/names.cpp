#include "model/names.hpp"

#include "core/text.hpp"

namespace vnvme::model {
namespace {

constexpr std::string_view kVolume = "vnvme.";
constexpr std::string_view kBase = "vnvme-base.";
constexpr std::string_view kTrash = "vnvme-trash.";
constexpr std::string_view kReplacement = "vnvme-new.";
constexpr std::string_view kRaid = "vnvme-raid.";
constexpr std::string_view kSpare = "spare ";  // no uuid begins like that
constexpr std::size_t kHexDigits = 32;

std::string with_prefix(std::string_view prefix, std::string_view uuid) {
  return std::string(prefix) + uuid_hex(uuid);
}

// Names that we give are in lower case: another spelling is somebody else's object, or the same id twice
// (I1).
std::optional<std::string> own_uuid(std::string_view hex) {
  auto uuid = uuid_from_hex(hex);
  if (!uuid) return std::nullopt;
  const std::string again = uuid_hex(*uuid);
  if (again != hex) return std::nullopt;
  return uuid;
}

// A label as people read it on the DPU: no control characters, no "/" (SPDK splits aliases there).
std::string readable(std::string_view label, std::size_t bytes) {
  std::string clean;
  for (char c : printable(label, label.size() + 1)) clean += c == '/' ? '_' : c;
  return utf8_prefix(clean, bytes);
}

}  // namespace

std::string pool_name(const SrId& sr) {
  return with_prefix(kVolume, sr.value);
}
std::string raid_name(const SrId& sr) {
  return std::string(kRaid) + uuid_hex(sr.value).substr(0, 16);
}

std::optional<SrId> sr_of_pool_name(std::string_view name) {
  if (name.substr(0, kVolume.size()) != kVolume) return std::nullopt;
  auto uuid = own_uuid(name.substr(kVolume.size()));
  if (!uuid) return std::nullopt;
  return SrId(*uuid);
}

std::string volume_name(const VolumeId& id, std::string_view label, std::size_t limit) {
  std::string name = with_prefix(kVolume, id.value);
  if (name.size() + 2 > limit) return name;
  std::string tail = readable(label, limit - name.size() - 1);
  if (!tail.empty()) name += "." + tail;
  return name;
}

std::string base_name(const VolumeId& id) {
  return with_prefix(kBase, id.value);
}
std::string trash_name(const VolumeId& id) {
  return with_prefix(kTrash, id.value);
}
std::string replacement_name(const VolumeId& id) {
  return with_prefix(kReplacement, id.value);
}

std::optional<OwnName> parse_name(std::string_view name) {
  auto take = [&](std::string_view prefix, NameKind kind) -> std::optional<OwnName> {
    if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
    std::string_view rest = name.substr(prefix.size());
    auto uuid = own_uuid(rest.substr(0, kHexDigits));
    if (!uuid) return std::nullopt;
    rest.remove_prefix(kHexDigits);
    if (!rest.empty() && (kind != NameKind::volume || rest.front() != '.')) return std::nullopt;
    OwnName own;
    own.kind = kind;
    own.id = VolumeId(*uuid);
    if (!rest.empty()) own.label = rest.substr(1);
    return own;
  };
  if (auto n = take(kVolume, NameKind::volume)) return n;
  if (auto n = take(kBase, NameKind::base)) return n;
  if (auto n = take(kTrash, NameKind::trash)) return n;
  return take(kReplacement, NameKind::replacement);
}

std::string serial_of_vm(const VmId& vm) {
  // FNV-1a over the whole uuid: uuids made by hand often begin alike. It must never change: functions are
  // found again by it.
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (char c : uuid_hex(vm.value)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  std::string digits;
  for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(hash >> shift) & 15];
  return "vnvm" + digits;
}

VmId spare_holder(std::string_view serial) {
  return VmId(std::string(kSpare) + std::string(serial));
}
bool is_spare(const VmId& vm) {
  return vm.value.starts_with(kSpare);
}

}  // namespace vnvme::model
