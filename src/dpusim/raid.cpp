#include "dpusim/raid.hpp"

#include <algorithm>
#include <cerrno>

#include "dpusim/params.hpp"
#include "dpusim/target.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {
namespace {

constexpr std::string_view kMagic = "VNVMESIM-RAID ";
constexpr std::uint64_t kRebuildShown = 200;          // ms
constexpr std::uint64_t kSuperblockBytes = 1u << 20;  // "data_offset": 256 blocks of 4 KiB
constexpr const char* kNoUuid = "00000000-0000-0000-0000-000000000000";

std::optional<RaidDevice::Level> level_of(const std::string& text) {
  if (text == "raid0" || text == "0") return RaidDevice::Level::raid0;
  if (text == "raid1" || text == "1") return RaidDevice::Level::raid1;
  if (text == "raid5f" || text == "5f") return RaidDevice::Level::raid5f;
  if (text == "concat") return RaidDevice::Level::concat;
  return std::nullopt;
}

std::size_t least_bases(RaidDevice::Level level) {
  return level == RaidDevice::Level::raid1 ? 2 : level == RaidDevice::Level::raid5f ? 3 : 1;
}

// What bdev_get_bdevs shows of the array.
void refresh(Target& target, const Raids& raids, const Raid& raid) {
  Bdev* bdev = raid.online ? target.bdevs.find(raid.name) : nullptr;
  if (bdev == nullptr || bdev->kind != Kind::raid) return;
  bdev->driver = {{"raid", raids.json(raid)}};
  bdev->driver["raid"].erase("name");
}

tl::unexpected<RpcError> cannot(const std::string& name, int number) {
  return refuse(-number, "Failed to create RAID bdev " + name + ": " + std::strerror(number));
}

}  // namespace

std::size_t Raid::discovered() const {
  return static_cast<std::size_t>(
      std::count_if(bases.begin(), bases.end(), [](const RaidBase& b) { return b.configured; }));
}

Reply Raids::create(const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true},
                                    {"strip_size_kb", Type::number},
                                    {"raid_level", Type::text, true},
                                    {"base_bdevs", Type::texts, true},
                                    {"uuid", Type::text, false, target_.profile.v26},
                                    {"superblock", Type::boolean, false, target_.profile.v26},
                                    {"persist", Type::boolean, false, target_.profile.kalray},
                                    {"split_dp", Type::boolean, false, target_.profile.kalray}});
  auto level = args ? level_of(*args->text("raid_level")) : std::nullopt;
  if (!args || !level) return refuse(-32700, "spdk_json_decode_object failed");
  Raid raid;
  raid.name = *args->text("name");
  raid.level = *args->text("raid_level");
  raid.strip_kb = args->number_or("strip_size_kb", 0);
  raid.superblock = args->flag("superblock") || args->flag("persist");
  raid.uuid = args->text_or("uuid", random_uuid());
  if (raids_.contains(raid.name)) return cannot(raid.name, EEXIST);
  bool striped = *level != RaidDevice::Level::raid1;
  bool power = raid.strip_kb != 0 && (raid.strip_kb & (raid.strip_kb - 1)) == 0;
  auto names = args->texts("base_bdevs");
  if (striped != power || (!striped && raid.strip_kb != 0) || names.size() < least_bases(*level))
    return cannot(raid.name, EINVAL);
  for (const auto& name : names) raid.bases.push_back({name, "", false, false, 0});
  auto name = raid.name;
  return add_first(name, std::move(raid));
}

Reply Raids::add_first(const std::string& name, Raid made) {
  raids_[name] = std::move(made);
  order_.push_back(name);
  Raid& raid = raids_[name];
  for (auto& base : raid.bases) {
    Bdev* bdev = target_.bdevs.find(base.name);
    if (bdev == nullptr) continue;
    if (!bdev->claim.empty()) {
      auto base_name = base.name;
      drop(name);
      if (target_.profile.v26) return cannot(name, EPERM);
      return refuse(
          -1, "Failed to add base bdev " + base_name + " to RAID bdev " + name + ": " + std::strerror(EPERM));
    }
    take(raid, base, *bdev);
  }
  if (raid.discovered() == raid.bases.size() && !bring_up(raid)) {
    drop(name);
    return cannot(name, EINVAL);
  }
  return true;
}

void Raids::take(Raid& raid, RaidBase& base, Bdev& bdev) {
  bdev.claim = "exclusive_write";
  bdev.claimed_by = "raid";
  base.name = bdev.name;
  base.uuid = bdev.uuid;
  base.configured = true;
  base.blocks = bdev.blocks;
  raid.block_size = bdev.block_size;
}

void Raids::release(Raid& raid, RaidBase& base) {
  if (Bdev* bdev = base.configured ? target_.bdevs.find(base.name) : nullptr; bdev != nullptr) {
    bdev->claim.clear();
    bdev->claimed_by.clear();
    if (raid.superblock) (void)bdev->device->zero(0, Lvstore::kPage);
  }
  base.configured = false;
}

bool Raids::bring_up(Raid& raid) {
  std::vector<BlockDevice*> devices;
  std::vector<std::uint64_t> sizes;
  auto offset = raid.superblock ? kSuperblockBytes : 0;
  std::uint64_t least = UINT64_MAX;
  for (auto& base : raid.bases) {
    Bdev* bdev = base.configured ? target_.bdevs.find(base.name) : nullptr;
    devices.push_back(bdev == nullptr ? nullptr : bdev->device);
    auto bytes = base.blocks * raid.block_size;
    if (bytes <= offset) return false;
    sizes.push_back(bytes - offset);
    least = std::min(least, bytes - offset);
  }
  raid.offset_blocks = offset / raid.block_size;
  raid.data_blocks = least / raid.block_size;
  auto strip = std::max<std::uint64_t>(raid.strip_kb * 1024, raid.block_size);
  auto device = std::make_unique<RaidDevice>(*level_of(raid.level), strip, offset, std::move(devices),
                                             std::move(sizes));
  raid.device = device.get();
  raid.online = true;
  if (raid.superblock && !write_superblocks(raid)) return false;
  auto bdev = std::make_unique<Bdev>();
  bdev->kind = Kind::raid;
  bdev->name = raid.name;
  if (target_.profile.v26) bdev->uuid = raid.uuid;
  bdev->block_size = raid.block_size;
  bdev->blocks = device->size() / raid.block_size;
  bdev->device = device.get();
  bdev->owned = std::move(device);
  bdev->driver = {{"raid", json(raid)}};
  bdev->driver["raid"].erase("name");
  if (target_.add_bdev(std::move(bdev)) != nullptr) return true;
  raid.device = nullptr;
  raid.online = false;
  return false;
}

Json Raids::json(const Raid& raid) const {
  bool v26 = target_.profile.v26;
  Json bases = Json::array();
  for (const auto& b : raid.bases) {
    if (!v26) {
      bases.push_back(b.configured ? Json(b.name) : Json(nullptr));
      continue;
    }
    bool shown = raid.online || raid.superblock || b.configured;
    auto data = raid.data_blocks != 0 ? raid.data_blocks : b.blocks;
    bool nameless = b.missing || (!b.configured && raid.superblock);
    bases.push_back({{"name", nameless ? Json(nullptr) : Json(b.name)},
                     {"uuid", b.uuid.empty() || b.missing ? kNoUuid : b.uuid},
                     {"is_configured", b.configured},
                     {"data_offset", b.missing || !shown ? 0 : raid.offset_blocks},
                     {"data_size", shown ? data : 0}});
  }
  Json out = {{"name", raid.name},
              {"strip_size_kb", raid.strip_kb},
              {"state", raid.online ? "online" : "configuring"},
              {"raid_level", raid.level},
              {"num_base_bdevs", raid.bases.size()},
              {"num_base_bdevs_discovered", raid.discovered()},
              {"base_bdevs_list", std::move(bases)}};
  if (!v26) return out;
  out["uuid"] = raid.online || raid.superblock ? raid.uuid : kNoUuid;
  out["superblock"] = raid.superblock;
  out["num_base_bdevs_operational"] = raid.online ? raid.discovered() : raid.bases.size();
  if (!raid.rebuilding.empty())
    out["process"] = {
        {"type", "rebuild"}, {"target", raid.rebuilding}, {"progress", {{"blocks", 0}, {"percent", 0}}}};
  return out;
}

Reply Raids::list(const Json* params) const {
  auto args = Args::decode(params, {{"category", Type::text, true}});
  if (!args) return refuse(-32700, "spdk_json_decode_object failed");
  auto category = *args->text("category");
  if (category != "all" && category != "online" && category != "configuring" && category != "offline") {
    if (!target_.profile.v26) return refuse_errno(EINVAL);
    return refuse(-32700, "spdk_json_decode_object failed");
  }
  Json out = Json::array();
  for (const auto& name : order_) {
    const Raid& raid = raids_.at(name);
    if (category != "all" && category != (raid.online ? "online" : "configuring")) continue;
    out.push_back(target_.profile.kalray ? Json(raid.name) : json(raid));
  }
  return out;
}

void Raids::drop(const std::string& name) {
  auto it = raids_.find(name);
  if (it == raids_.end()) return;
  Raid raid = std::move(it->second);
  raids_.erase(it);
  std::erase(order_, name);
  if (Bdev* bdev = raid.online ? target_.bdevs.find(name) : nullptr; bdev != nullptr)
    target_.remove_bdev(*bdev);
  for (auto& base : raid.bases) release(raid, base);
}

Reply Raids::remove(const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true}});
  if (!args) return refuse(-32700, "spdk_json_decode_object failed");
  auto name = *args->text("name");
  if (!raids_.contains(name)) return refuse(-ENODEV, "raid bdev " + name + " not found");
  drop(name);
  return true;
}

Reply Raids::remove_base(const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true}});
  if (!args) return refuse(-32700, "spdk_json_decode_object failed");
  for (auto& [name, raid] : raids_) {
    for (std::size_t i = 0; i < raid.bases.size(); ++i) {
      if (!raid.bases[i].configured || raid.bases[i].name != *args->text("name")) continue;
      release(raid, raid.bases[i]);
      raid.bases[i].missing = true;
      if (raid.device != nullptr) raid.device->set_base(i, nullptr);
      refresh(target_, *this, raid);
      return true;
    }
  }
  return refuse(-ENODEV, "base bdev " + *args->text("name") + " not found");
}

Reply Raids::add_base(const Json* params) {
  auto args = Args::decode(params, {{"raid_bdev", Type::text, true}, {"base_bdev", Type::text, true}});
  if (!args) return refuse(-32700, "spdk_json_decode_object failed");
  auto it = raids_.find(*args->text("raid_bdev"));
  Bdev* bdev = target_.bdevs.find(*args->text("base_bdev"));
  if (it == raids_.end()) return refuse(-ENODEV, "raid bdev " + *args->text("raid_bdev") + " not found");
  if (bdev == nullptr) return refuse(-ENODEV, "base bdev " + *args->text("base_bdev") + " not found");
  if (!bdev->claim.empty()) return refuse_errno(EPERM);
  Raid& raid = it->second;
  for (std::size_t i = 0; i < raid.bases.size(); ++i) {
    if (raid.bases[i].configured) continue;
    take(raid, raid.bases[i], *bdev);
    raid.bases[i].missing = false;
    if (raid.device != nullptr) {
      raid.device->set_base(i, bdev->device);
      if (int e = raid.device->rebuild(i); e != 0) return refuse_errno(e);
    }
    // The bytes are there at once; the process is shown a little longer, so that callers meet it.
    raid.rebuilding = bdev->name;
    auto name = raid.name;
    target_.later_(kRebuildShown, [this, name] {
      auto found = raids_.find(name);
      if (found == raids_.end()) return;
      found->second.rebuilding.clear();
      refresh(target_, *this, found->second);
    });
    refresh(target_, *this, raid);
    if (raid.superblock && !write_superblocks(raid)) return refuse_errno(EIO);
    return true;
  }
  return refuse_errno(EINVAL);
}

bool Raids::write_superblocks(const Raid& raid) {
  Json content = {{"name", raid.name},      {"uuid", raid.uuid},        {"level", raid.level},
                  {"strip", raid.strip_kb}, {"block", raid.block_size}, {"bases", Json::array()}};
  for (const auto& base : raid.bases)
    content["bases"].push_back({{"uuid", base.uuid}, {"blocks", base.blocks}});
  std::string block(Lvstore::kPage, '\0');
  auto text = std::string(kMagic) + dump_json_ascii(content);
  if (text.size() >= block.size()) return false;
  block.replace(0, text.size(), text);
  for (const auto& base : raid.bases) {
    Bdev* bdev = base.configured ? target_.bdevs.find(base.name) : nullptr;
    if (bdev != nullptr && bdev->device->write(0, block) != 0) return false;
  }
  return true;
}

// An array with superblock returns by itself; its members are known by their uuid, never by their name.
bool Raids::read_superblock(Bdev& bdev) {
  std::string block(Lvstore::kPage, '\0');
  if (bdev.bytes() < block.size() || bdev.device->read(0, block) != 0 || !block.starts_with(kMagic))
    return false;
  auto content = parse_json(std::string_view(block.c_str() + kMagic.size()));
  if (!content || !member(*content, "bases")) return false;
  Raid raid;
  raid.name = text_of(*content, "name").value_or("");
  raid.uuid = text_of(*content, "uuid").value_or("");
  raid.level = text_of(*content, "level").value_or("");
  raid.strip_kb = number_of(*content, "strip").value_or(0);
  raid.block_size = number_of(*content, "block").value_or(512);
  raid.superblock = true;
  raid.offset_blocks = kSuperblockBytes / std::max<std::uint64_t>(raid.block_size, 1);
  if (!level_of(raid.level)) return false;
  bool member_of = false;
  std::uint64_t least = UINT64_MAX;
  for (const auto& base : *member(*content, "bases")) {
    RaidBase one{"", text_of(base, "uuid").value_or(""), false, false, number_of(base, "blocks").value_or(0)};
    member_of = member_of || (!one.uuid.empty() && one.uuid == bdev.uuid);
    least = std::min(least, one.blocks);
    raid.bases.push_back(std::move(one));
  }
  if (!member_of || raids_.contains(raid.name)) return false;
  raid.data_blocks = least - std::min(least, raid.offset_blocks);
  order_.push_back(raid.name);
  raids_[raid.name] = std::move(raid);
  return true;
}

void Raids::examine(Bdev& bdev) {
  if (!bdev.claim.empty() || bdev.kind == Kind::raid) return;
  read_superblock(bdev);
  for (const auto& name : std::vector<std::string>(order_)) {
    Raid& raid = raids_[name];
    for (auto& base : raid.bases) {
      bool meant = raid.superblock ? !base.uuid.empty() && base.uuid == bdev.uuid : base.name == bdev.name;
      if (base.configured || base.missing || raid.online || !meant || !bdev.claim.empty()) continue;
      take(raid, base, bdev);
      if (raid.discovered() == raid.bases.size()) (void)bring_up(raid);
    }
  }
}

void Raids::forget(Bdev& bdev) {
  for (const auto& name : std::vector<std::string>(order_)) {
    auto it = raids_.find(name);
    if (it == raids_.end()) continue;
    Raid& raid = it->second;
    for (std::size_t i = 0; i < raid.bases.size(); ++i) {
      if (!raid.bases[i].configured || raid.bases[i].name != bdev.name) continue;
      raid.bases[i].configured = false;
      raid.bases[i].missing = raid.online;
      if (raid.device != nullptr) raid.device->set_base(i, nullptr);
      if (raid.discovered() == 0 || (raid.online && raid.level != "raid1" && raid.level != "1")) {
        raid.superblock = false;  // a drive that was pulled is no deletion: what is on the others stays
        drop(name);
      } else {
        refresh(target_, *this, raid);
      }
      break;
    }
  }
}

}  // namespace vnvme::sim
