#include "dpusim/bdev.hpp"

#include <array>

namespace vnvme::sim {
namespace {

constexpr std::array kTypes26 = {"read",
                                 "write",
                                 "unmap",
                                 "flush",
                                 "reset",
                                 "nvme_admin",
                                 "nvme_io",
                                 "nvme_io_md",
                                 "write_zeroes",
                                 "zcopy",
                                 "get_zone_info",
                                 "zone_management",
                                 "zone_append",
                                 "compare",
                                 "compare_and_write",
                                 "abort",
                                 "seek_hole",
                                 "seek_data",
                                 "copy",
                                 "nvme_iov_md",
                                 "nvme_nssr",
                                 "write_uncorrectable"};
constexpr std::array kTypes23 = {"read",  "write",      "unmap",   "write_zeroes",
                                 "flush", "reset",      "compare", "compare_and_write",
                                 "abort", "nvme_admin", "nvme_io"};

// The operations that each kind had in the recordings, blank-separated.
std::string_view operations(const Bdev& b, bool v26) {
  bool hidden = b.lvol != nullptr && (b.lvol->write_hidden || (!v26 && b.lvol->read_only));
  switch (b.kind) {
    case Kind::lvol:
      if (hidden) return v26 ? " read reset seek_hole seek_data " : " read reset ";
      return v26 ? " read write unmap reset write_zeroes seek_hole seek_data "
                 : " read write unmap write_zeroes reset ";
    case Kind::aio:
      return " read write flush reset write_zeroes ";
    case Kind::raid:
      return v26 || b.driver["raid"]["raid_level"] != "raid1" ? " read write flush reset write_zeroes "
                                                              : " read write reset write_zeroes ";
    case Kind::malloc:
      return v26 ? " read write unmap flush reset write_zeroes zcopy compare abort copy "
                 : " read write unmap write_zeroes flush reset abort ";
    case Kind::nvme:
      return v26 ? " read write unmap flush reset nvme_admin nvme_io write_zeroes compare compare_and_write "
                   "abort copy "
                 : " read write unmap write_zeroes flush reset compare compare_and_write abort nvme_admin "
                   "nvme_io ";
  }
  return "";
}

template <class Types>
std::string io_types(const Types& types, std::string_view has) {
  std::string out = "{";
  for (const char* type : types) {
    bool yes = has.find(" " + std::string(type) + " ") != std::string_view::npos;
    out += (out.size() > 1 ? ",\"" : "\"") + std::string(type) + "\":" + (yes ? "true" : "false");
  }
  return out + "}";
}

// Cached: the same few texts for thousands of lvols.
const std::string& io_types_text(const Bdev& b, bool v26) {
  static std::map<std::pair<bool, std::string_view>, std::string> cache;
  auto has = operations(b, v26);
  auto& text = cache[{v26, has}];
  if (text.empty()) text = v26 ? io_types(kTypes26, has) : io_types(kTypes23, has);
  return text;
}

std::string quoted(const std::string& text) {
  return dump_json_ascii(Json(text));
}
const char* boolean(bool value) {
  return value ? "true" : "false";
}

std::string lvol_text(const Bdev& b, bool v26) {
  const Lvol& l = *b.lvol;
  const Lvstore& store = *b.store;
  std::string out = "{\"lvol\":{\"lvol_store_uuid\":\"" + store.uuid() +
                    "\",\"base_bdev\":" + quoted(store.base_bdev) + ",\"thin_provision\":" + boolean(l.thin);
  if (v26) out += ",\"num_allocated_clusters\":" + std::to_string(l.map.count());
  out += std::string(",\"snapshot\":") + boolean(l.snapshot) + ",\"clone\":" + boolean(l.parent != 0);
  if (const Lvol* parent = store.by_id(l.parent); parent != nullptr)
    out += ",\"base_snapshot\":" + quoted(parent->name);
  if (!l.clones.empty()) {
    out += ",\"clones\":[";
    for (std::size_t i = 0; i < l.clones.size(); ++i) {
      const Lvol* clone = store.by_id(l.clones[i]);
      out += (i > 0 ? "," : "") + quoted(clone == nullptr ? "" : clone->name);
    }
    out += "]";
  }
  if (v26) out += std::string(",\"esnap_clone\":") + boolean(!l.esnap.empty());
  if (v26 && !l.esnap.empty()) out += ",\"external_snapshot_name\":\"" + l.esnap + "\"";
  return out + "}}";
}

std::string aliases_text(const Bdev& b) {
  if (b.kind == Kind::lvol) return "[" + quoted(b.alias) + "]";
  return b.uuid.empty() || (b.kind == Kind::nvme && b.alias.empty()) ? "[]" : "[\"" + b.uuid + "\"]";
}

const char* product(Kind kind) {
  switch (kind) {
    case Kind::nvme:
      return "NVMe disk";
    case Kind::aio:
      return "AIO disk";
    case Kind::malloc:
      return "Malloc disk";
    case Kind::raid:
      return "Raid Volume";
    case Kind::lvol:
      return "Logical Volume";
  }
  return "";
}

std::uint64_t limit(const Bdev& b, const std::string& name) {
  auto it = b.limits.find(name);
  return it == b.limits.end() ? 0 : it->second;
}

}  // namespace

Bdev* Bdevs::add(std::unique_ptr<Bdev> bdev) {
  bool own_uuid = !bdev->uuid.empty() && bdev->uuid != bdev->name && !bdev->remote;
  if (names_.contains(bdev->name) || (own_uuid && names_.contains(bdev->uuid))) return nullptr;
  bdev->order = next_++;
  Bdev* raw = bdev.get();
  names_[raw->name] = raw;
  if (own_uuid) names_[raw->uuid] = raw;
  if (!raw->alias.empty()) names_.emplace(raw->alias, raw);
  bdevs_[raw->order] = std::move(bdev);
  return raw;
}

void Bdevs::remove(Bdev& bdev) {
  for (const auto& name : {bdev.name, bdev.uuid, bdev.alias})
    if (auto it = names_.find(name); it != names_.end() && it->second == &bdev) names_.erase(it);
  bdevs_.erase(bdev.order);
}

bool Bdevs::rename_alias(Bdev& bdev, const std::string& alias) {
  if (names_.contains(alias)) return false;
  names_.erase(bdev.alias);
  bdev.alias = alias;
  names_[alias] = &bdev;
  return true;
}

Bdev* Bdevs::find(const std::string& name) const {
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : it->second;
}

std::string bdev_text(const Bdev& b, const Profile& profile) {
  bool v26 = profile.v26;
  std::string out = "{\"name\":" + quoted(b.name) + ",\"aliases\":" + aliases_text(b) +
                    ",\"product_name\":\"" + product(b.kind) +
                    "\",\"block_size\":" + std::to_string(b.block_size) +
                    ",\"num_blocks\":" + std::to_string(b.blocks);
  if (v26) {
    bool nvme = b.kind == Kind::nvme;
    out +=
        nvme ? ",\"preferred_write_alignment\":1,\"preferred_write_granularity\":1,\"optimal_write_size\":32,"
               "\"preferred_unmap_alignment\":1,\"preferred_unmap_granularity\":1"
             : ",\"preferred_write_alignment\":0,\"preferred_write_granularity\":0,\"optimal_write_size\":0,"
               "\"preferred_unmap_alignment\":0,\"preferred_unmap_granularity\":0";
  }
  if (!b.uuid.empty()) out += ",\"uuid\":\"" + b.uuid + "\"";
  if (v26 && (b.kind == Kind::nvme || b.kind == Kind::malloc)) out += ",\"numa_id\":-1";
  out += ",\"assigned_rate_limits\":{";
  for (const char* name : {"rw_ios_per_sec", "rw_mbytes_per_sec", "r_mbytes_per_sec", "w_mbytes_per_sec"})
    out += std::string(name[0] == 'r' && name[3] == 'i' ? "\"" : ",\"") + name +
           "\":" + std::to_string(limit(b, name));
  out += std::string("},\"claimed\":") + boolean(!b.claim.empty());
  if (v26 && !b.claim.empty()) out += ",\"claim_type\":\"" + b.claim + "\"";
  out += ",\"zoned\":false,\"supported_io_types\":" + io_types_text(b, v26);
  for (auto it = b.extra.begin(); it != b.extra.end(); ++it)
    if (v26) out += "," + quoted(it.key()) + ":" + dump_json_ascii(it.value());
  return out +
         ",\"driver_specific\":" + (b.kind == Kind::lvol ? lvol_text(b, v26) : dump_json_ascii(b.driver)) +
         "}";
}

Json iostat_json(const Bdev& b, const Profile& profile) {
  Json out = {{"name", b.name},
              {"bytes_read", b.stats.bytes_read},
              {"num_read_ops", b.stats.reads},
              {"bytes_written", b.stats.bytes_written},
              {"num_write_ops", b.stats.writes},
              {"bytes_unmapped", b.stats.bytes_unmapped},
              {"num_unmap_ops", b.stats.unmaps},
              {"bytes_copied", 0},
              {"num_copy_ops", 0},
              {"io_error", Json::object()}};
  for (const char* kind : {"read", "write", "unmap", "copy"})
    for (const char* prefix : {"", "max_", "min_"}) out[std::string(prefix) + kind + "_latency_ticks"] = 0;
  if (profile.v26 && b.kind == Kind::nvme) out["driver_specific"] = Json::object();
  return out;
}

}  // namespace vnvme::sim
