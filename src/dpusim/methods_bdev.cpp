// Base devices: list, aio, malloc, statistics, limits, arrays.
#include <time.h>

#include <cerrno>

#include "dpusim/methods.hpp"
#include "dpusim/params.hpp"
#include "dpusim/target.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {
namespace {

constexpr std::uint64_t kMallocMost = std::uint64_t{256} << 20;  // the recorded targets ran in little memory
constexpr std::uint64_t kWaitStep = 20;  // ms between two looks for a bdev that is waited for

bool block_size_ok(std::uint64_t n) {
  return n >= 512 && (n & (n - 1)) == 0;
}

Reply list_all(const Target& t) {
  std::string text = "[";
  for (const auto& [order, bdev] : t.bdevs.all())
    text += (text.size() > 1 ? "," : "") + bdev_text(*bdev, t.profile);
  return raw_json(text + "]");
}

void wait_for(Target* t, const std::string& name, std::uint64_t left, const Done& done) {
  if (Bdev* bdev = t->bdevs.find(name); bdev != nullptr)
    return done(raw_json("[" + bdev_text(*bdev, t->profile) + "]"));
  if (left == 0) return done(refuse_errno(t->profile.v26 ? ETIMEDOUT : ENODEV));
  auto step = std::min(left, kWaitStep);
  t->later_(step, [t, name, left, step, done] { wait_for(t, name, left - step, done); });
}

void get_bdevs(Target* t, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"name", Type::text}, {"timeout", Type::number}});
  if (!args) return done(refuse_decode());
  auto name = args->text("name");
  if (!name) return done(list_all(*t));
  auto timeout = args->number_or("timeout", 0);
  Bdev* bdev = t->bdevs.find(*name);
  if (bdev == nullptr && timeout == 0) return done(refuse_errno(ENODEV));
  wait_for(t, *name, timeout, done);
}

// errno, or 0 and the made bdev.
int add_file_bdev(Target& t, const Args& args, const std::string& name) {
  auto filename = *args.text("filename");
  auto block = args.number_or("block_size", 0);
  if (t.bdevs.find(name) != nullptr) return EEXIST;
  int error = 0;
  auto device = FileDevice::open(filename, 0, false, &error);
  if (device == nullptr) return error;
  if (!block_size_ok(block) || device->size() < block) return EINVAL;
  auto bdev = std::make_unique<Bdev>();
  bdev->kind = Kind::aio;
  bdev->name = name;
  if (t.profile.v26) bdev->uuid = args.text_or("uuid", random_uuid());
  bdev->block_size = block;
  bdev->blocks = device->size() / block;
  bdev->driver = {
      {"aio", {{"filename", filename}, {"block_size_override", true}, {"readonly", args.flag("readonly")}}}};
  if (t.profile.v26) {
    bdev->driver["aio"]["fallocate"] = args.flag("fallocate");
    bdev->driver["aio"]["nowait"] = args.flag("nowait");
  }
  bdev->device = device.get();
  bdev->owned = std::move(device);
  return t.add_bdev(std::move(bdev)) == nullptr ? EEXIST : 0;
}

Reply aio_create(Target& t, const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true},
                                    {"filename", Type::text, true},
                                    {"block_size", Type::number},
                                    {"readonly", Type::boolean},
                                    {"fallocate", Type::boolean, false, t.profile.v26},
                                    {"nowait", Type::boolean, false, t.profile.v26},
                                    {"uuid", Type::text, false, t.profile.v26}});
  if (!args) return refuse_decode();
  auto name = *args->text("name");
  if (int e = add_file_bdev(t, *args, name); e != 0) return refuse_errno(e);
  return name;
}

Reply aio_rescan(Target& t, const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text, true}});
  if (!args) return refuse_decode();
  Bdev* bdev = t.bdevs.find(*args->text("name"));
  auto* file = bdev == nullptr || bdev->kind != Kind::aio ? nullptr : dynamic_cast<FileDevice*>(bdev->device);
  if (file == nullptr) return refuse_errno(ENODEV);
  file->rescan();
  if (bdev->blocks != file->size() / bdev->block_size) t.notify("bdev_resize", bdev->name);
  bdev->blocks = file->size() / bdev->block_size;
  return true;
}

// Removing the parent of an external-snapshot clone is never answered by the real one, unless a store holds
// the drive.
void delete_base(Target* t, Kind kind, const Json* params, const Done& done) {
  auto args = Args::decode(params, {{"name", Type::text, true}});
  if (!args) return done(refuse_decode());
  Bdev* bdev = t->bdevs.find(*args->text("name"));
  if (bdev == nullptr || bdev->kind != kind) return done(refuse_errno(ENODEV));
  bool under_esnap = bdev->claimed_by == "esnap";
  for (const auto& store : t->stores())
    for (const auto& [id, lvol] : store->lvols())
      if (!bdev->uuid.empty() && lvol->esnap == bdev->uuid) store->esnap_lost = true;
  t->remove_bdev(*bdev);
  if (!under_esnap) done(true);
}

Reply malloc_create(Target& t, const Json* params) {
  auto args = Args::decode(params, {{"name", Type::text},
                                    {"uuid", Type::text},
                                    {"num_blocks", Type::number, true},
                                    {"block_size", Type::number, true},
                                    {"optimal_io_boundary", Type::number}});
  if (!args) return refuse_decode();
  static std::uint64_t next = 0;
  auto blocks = *args->number("num_blocks"), block = *args->number("block_size");
  auto name = args->text_or("name", "Malloc" + std::to_string(next));
  if (blocks == 0 || !block_size_ok(block)) return refuse_errno(EINVAL);
  if (blocks > kMallocMost / block) return refuse_errno(ENOMEM);
  if (t.bdevs.find(name) != nullptr) return refuse_errno(EEXIST);
  int error = 0;
  auto device = FileDevice::open("", blocks * block, true, &error);
  if (device == nullptr) return refuse_errno(error);
  if (!args->text("name")) ++next;
  auto bdev = std::make_unique<Bdev>();
  bdev->kind = Kind::malloc;
  bdev->name = name;
  bdev->uuid = args->text_or("uuid", random_uuid());
  bdev->block_size = block;
  bdev->blocks = blocks;
  bdev->device = device.get();
  bdev->owned = std::move(device);
  if (t.add_bdev(std::move(bdev)) == nullptr) return refuse_errno(EEXIST);
  return name;
}

Reply iostat(Target& t, const Json* params) {
  bool v26 = t.profile.v26;
  auto args = Args::decode(params, {{"names", Type::texts, false, v26},
                                    {"name", Type::text, false, !v26},
                                    {"per_channel", Type::boolean},
                                    {"reset_mode", Type::text, false, v26}});
  if (!args) return refuse_decode();
  auto names = args->texts("names");
  if (auto one = args->text("name"); one) names.push_back(*one);
  Json list = Json::array();
  if (names.empty())
    for (const auto& [order, bdev] : t.bdevs.all()) list.push_back(iostat_json(*bdev, t.profile));
  for (const auto& name : names) {
    Bdev* bdev = t.bdevs.find(name);
    if (bdev == nullptr) return refuse_errno(ENODEV);
    list.push_back(iostat_json(*bdev, t.profile));
  }
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  auto ticks =
      static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  return Json{{"tick_rate", 1'000'000'000}, {"ticks", ticks}, {"bdevs", std::move(list)}};
}

Reply set_qos(Target& t, const Json* params) {
  static const std::vector<std::string> kinds = {"rw_ios_per_sec", "rw_mbytes_per_sec", "r_mbytes_per_sec",
                                                 "w_mbytes_per_sec"};
  auto args = Args::decode(params, {{"name", Type::text, true},
                                    {kinds[0], Type::number},
                                    {kinds[1], Type::number},
                                    {kinds[2], Type::number},
                                    {kinds[3], Type::number}});
  if (!args) return refuse_decode();
  Bdev* bdev = t.bdevs.find(*args->text("name"));
  if (bdev == nullptr) return refuse_errno(ENODEV);
  bool any = false;
  for (const auto& kind : kinds) any = any || args->number(kind).has_value();
  if (!any) return refuse(-EINVAL, "No rate limits specified");
  bool open = bdev->claim == "exclusive_write";
  if (t.profile.v26 && !open) {
    if (bdev->limited_unopened)
      return refuse(kInvalidParams, std::string("Failed to configure rate limit: ") + std::strerror(EAGAIN));
    bdev->limited_unopened = true;
  }
  for (const auto& kind : kinds) {
    auto value = args->number(kind);
    if (!value) continue;
    if (kind == kinds[0] && *value % 1000 != 0)
      *value = (*value / 1000 + 1) * 1000;  // rounded up, as the real one does
    bdev->limits[kind] = *value;
  }
  return true;
}

}  // namespace

void add_bdev_methods(Target& target) {
  Target* t = &target;
  t->on("bdev_get_bdevs", [t](const Json* params, const Done& done) { get_bdevs(t, params, done); });
  t->on_sync("bdev_aio_create", [t](const Json* params) { return aio_create(*t, params); });
  t->on_sync("bdev_aio_rescan", [t](const Json* params) { return aio_rescan(*t, params); });
  t->on("bdev_aio_delete",
        [t](const Json* params, const Done& done) { delete_base(t, Kind::aio, params, done); });
  t->on_sync("bdev_malloc_create", [t](const Json* params) { return malloc_create(*t, params); });
  t->on("bdev_malloc_delete",
        [t](const Json* params, const Done& done) { delete_base(t, Kind::malloc, params, done); });
  t->on_sync("bdev_get_iostat", [t](const Json* params) { return iostat(*t, params); });
  t->on_sync("bdev_set_qos_limit", [t](const Json* params) { return set_qos(*t, params); });
  t->on_sync("bdev_raid_create", [t](const Json* params) { return t->raids.create(params); });
  t->on_sync("bdev_raid_get_bdevs", [t](const Json* params) { return t->raids.list(params); });
  t->on_sync("bdev_raid_delete", [t](const Json* params) { return t->raids.remove(params); });
  if (!t->profile.v26) return;
  t->on_sync("bdev_raid_add_base_bdev", [t](const Json* params) { return t->raids.add_base(params); });
  t->on_sync("bdev_raid_remove_base_bdev", [t](const Json* params) { return t->raids.remove_base(params); });
}

}  // namespace vnvme::sim
