#include "dpusim/target.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "dpusim/faults.hpp"
#include "dpusim/initiator.hpp"
#include "dpusim/methods.hpp"
#include "dpusim/nvmf.hpp"
#include "dpusim/snap.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::sim {
namespace {

constexpr std::size_t kNotificationsKept = 1024;

bool make_folder(const std::string& path) {
  return ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

std::string pci_address(std::size_t index) {
  char text[32];
  std::snprintf(text, sizeof text, "0000:%02x:00.0", static_cast<unsigned>(index & 0xff));
  return text;
}

// The shape that a real card printed for its drives (Kalray K200) and that SPDK has for NVMe over fabrics.
Json nvme_driver(const DriveOption& drive, const std::string& uuid, std::size_t index) {
  Json data = {{"cntlid", 0},
               {"vendor_id", "0x1b36"},
               {"model_number", drive.model},
               {"serial_number", drive.serial},
               {"firmware_revision", "1.0"},
               {"subnqn", "nqn.2014-08.org.nvmexpress:uuid:" + uuid},
               {"oacs", {{"security", 0}, {"format", 1}, {"firmware", 1}, {"ns_manage", 0}}},
               {"multi_ctrlr", false},
               {"ana_reporting", false}};
  Json one = {{"pci_address", pci_address(index)},
              {"trid", {{"trtype", "PCIe"}, {"traddr", pci_address(index)}}},
              {"ctrlr_data", std::move(data)},
              {"vs", {{"nvme_version", "1.4"}}},
              {"ns_data", {{"id", 1}, {"can_share", false}}},
              {"security", {{"opal", false}}}};
  return {{"nvme", Json::array({std::move(one)})}, {"mp_policy", "active_passive"}};
}

}  // namespace

Target::Target(Settings s, Later later)
    : settings(std::move(s)), profile(settings.profile), raids(*this), later_(std::move(later)) {
  nvmf = std::make_unique<Nvmf>(*this);
  initiator = std::make_unique<Initiator>(*this);
  snap = std::make_unique<Snap>(*this);
  faults = std::make_unique<Faults>();
  add_framework_methods(*this);
  add_bdev_methods(*this);
  add_lvstore_methods(*this);
  add_lvol_methods(*this);
  nvmf->add_methods();
  initiator->add_methods();
  if (settings.snap && !profile.kalray) snap->add_methods();
  if (profile.kalray) {
    keep_methods_of_kalray();
    slots = std::make_unique<Slots>(*this);
  }
  add_control_methods(*this);
}

// What the card's public plugin calls, and what every SPDK of that age has for lvols and RAID. Its functions
// have no method at all.
void Target::keep_methods_of_kalray() {
  std::erase_if(methods_, [](const auto& method) {
    const auto& name = method.first;
    bool storage = name.starts_with("bdev_lvol_") || name.starts_with("bdev_raid_");
    for (const auto* other : {"rpc_get_methods", "spdk_get_version", "bdev_get_bdevs", "bdev_get_iostat",
                              "bdev_wait_for_examine", "bdev_set_qos_limit"})
      storage = storage || name == other;
    return !storage;
  });
}

Target::~Target() = default;

Result<std::vector<DriveOption>> Target::remembered_drives() {
  std::vector<DriveOption> out;
  auto text = read_file(settings.state + "/drives.json");
  if (!text) {
    if (text.error().code == Errc::not_found) return out;
    return fail(text.error());
  }
  auto json = parse_json(*text);
  if (!json || !json->is_array()) return fail(Errc::internal, settings.state + "/drives.json is not a list");
  for (const auto& d : *json) {
    DriveOption drive;
    drive.name = text_of(d, "name").value_or("");
    drive.serial = text_of(d, "serial").value_or("");
    drive.model = text_of(d, "model").value_or("");
    drive.size = number_of(d, "size").value_or(0);
    drive.block_size = number_of(d, "block").value_or(512);
    drive.unmap_zeroes = flag_of(d, "unmap").value_or(false);
    out.push_back(std::move(drive));
  }
  return out;
}

Result<void> Target::start() {
  for (const auto* folder : {"", "/drives", "/stores"})
    if (!make_folder(settings.state + folder))
      return fail(Errc::internal, settings.state + folder + ": " + std::strerror(errno));
  if (!settings.nbd.empty() && !make_folder(settings.nbd))
    return fail(Errc::internal, settings.nbd + ": " + std::strerror(errno));
  auto drives = remembered_drives();
  if (!drives) return fail(drives.error());
  for (const auto& wanted : settings.drives) {
    auto same = std::find_if(drives->begin(), drives->end(),
                             [&wanted](const DriveOption& d) { return d.name == wanted.name; });
    if (same == drives->end()) drives->push_back(wanted);
  }
  Json list = Json::array();
  for (const auto& d : *drives)
    list.push_back({{"name", d.name},
                    {"serial", d.serial},
                    {"model", d.model},
                    {"size", d.size},
                    {"block", d.block_size},
                    {"unmap", d.unmap_zeroes}});
  if (!write_file(settings.state + "/drives.json", dump_json(list) + "\n"))
    return fail(Errc::internal, settings.state + "/drives.json: " + std::strerror(errno));
  for (std::size_t i = 0; i < drives->size(); ++i) VNVME_TRY(open_drive((*drives)[i], i));
  if (slots) return slots->start();
  return settings.snap ? snap->start() : Result<void>{};
}

Result<void> Target::open_drive(const DriveOption& drive, std::size_t index) {
  auto path = settings.state + "/drives/" + drive.name + ".img";
  int error = 0;
  auto device = FileDevice::open(path, drive.size, drive.unmap_zeroes, &error);
  if (device == nullptr) return fail(Errc::internal, path + ": " + std::strerror(error));
  auto uuid_path = settings.state + "/drives/" + drive.name + ".uuid";
  auto known = read_file(uuid_path, 128);
  auto uuid = known ? parse_uuid(std::string_view(*known).substr(0, 36)).value_or("") : std::string();
  if (uuid.empty()) {
    uuid = random_uuid();
    if (!write_file(uuid_path, uuid + "\n"))
      return fail(Errc::internal, uuid_path + ": " + std::strerror(errno));
  }
  auto bdev = std::make_unique<Bdev>();
  bdev->kind = Kind::nvme;
  bdev->name = drive.name;
  bdev->uuid = uuid;
  if (profile.v26) bdev->alias = uuid;  // the old target shows no alias for a drive
  bdev->block_size = drive.block_size;
  bdev->blocks = device->size() / drive.block_size;
  bdev->driver = nvme_driver(drive, uuid, index);
  bdev->extra = {{"memory_domains", Json::array({Json{{"dma_device_type", "DMA"}}})}};
  bdev->device = device.get();
  bdev->owned = std::move(device);
  if (add_bdev(std::move(bdev)) == nullptr)
    return fail(Errc::invalid_argument, "two drives are named " + drive.name);
  return {};
}

void Target::on(std::string name, Handler handler) {
  methods_[std::move(name)] = std::move(handler);
}

void Target::on_sync(std::string name, std::function<Reply(const Json*)> handler) {
  on(name, [this, name, handler = std::move(handler)](const Json* params, const Done& done) {
    auto slow = latency.find(name);
    if (slow == latency.end() || slow->second == 0) return done(handler(params));
    later_(slow->second, [reply = handler(params), done] { done(reply); });
  });
}

const Target::Handler* Target::method(const std::string& name) const {
  auto it = methods_.find(name);
  return it == methods_.end() ? nullptr : &it->second;
}

void Target::later(const std::string& method, std::function<void()> act) {
  auto slow = latency.find(method);
  later_(slow == latency.end() ? 0 : slow->second, std::move(act));
}

void Target::crash(const std::string& why) {
  std::fprintf(stderr, "vnvme-dpusim: crashes as the real target does: %s\n", why.c_str());
  std::fflush(stderr);
  ::_exit(134);
}

void Target::notify(std::string type, const std::string& bdev) {
  notifications.push_back({next_notification++, std::move(type), bdev});
  if (notifications.size() > kNotificationsKept) notifications.pop_front();
}

Bdev* Target::add_bdev(std::unique_ptr<Bdev> made) {
  Bdev* bdev = bdevs.add(std::move(made));
  if (bdev == nullptr) return nullptr;
  notify("bdev_register", bdev->name);
  if (bdev->kind != Kind::lvol) examine(*bdev);
  return bdev;
}

void Target::examine(Bdev& bdev) {
  raids.examine(bdev);
  auto uuid = bdev.claim.empty() ? Lvstore::examine(*bdev.device) : std::nullopt;
  if (!uuid || store_by(*uuid, true) != nullptr)
    return;  // a byte copy of a store in use stays unimported, silently
  auto store = Lvstore::load(*bdev.device, settings.state + "/stores", *uuid);
  if (store == nullptr) {
    std::fprintf(stderr, "vnvme-dpusim: %s holds store %s, whose journal is missing or broken\n",
                 bdev.name.c_str(), uuid->c_str());
  } else if (store_by(store->name(), false) == nullptr) {
    add_store(std::move(store), bdev);
  }
}

void Target::add_store(std::unique_ptr<Lvstore> made, Bdev& base) {
  Lvstore& store = *made;
  store.base_bdev = base.name;
  store.esnap_of = [this](const std::string& uuid) {
    Bdev* bdev = bdevs.find(uuid);
    return bdev == nullptr ? nullptr : bdev->device;
  };
  base.claim = "read_many_write_one";
  base.claimed_by = "lvol";
  stores_.push_back(std::move(made));
  for (const auto& [id, lvol] : store.lvols()) add_lvol_bdev(store, *lvol);
  if (slots) slots->look();
}

Bdev* Target::add_lvol_bdev(Lvstore& store, Lvol& lvol) {
  auto bdev = std::make_unique<Bdev>();
  Bdev* base = bdevs.find(store.base_bdev);
  bdev->kind = Kind::lvol;
  bdev->name = bdev->uuid = lvol.uuid;
  bdev->alias = store.name() + "/" + lvol.alias;
  bdev->block_size = base == nullptr ? 512 : base->block_size;
  bdev->lvol = &lvol;
  bdev->store = &store;
  bdev->owned = std::make_unique<LvolDevice>(store, lvol);
  bdev->device = bdev->owned.get();
  bdev->blocks = bdev->device->size() / bdev->block_size;
  return add_bdev(std::move(bdev));
}

void Target::remove_bdev(Bdev& bdev) {
  nvmf->forget(bdev);
  snap->forget(bdev);
  raids.forget(bdev);
  for (std::size_t i = stores_.size(); i-- > 0;)
    if (stores_[i]->base_bdev == bdev.name) unload_store(*stores_[i], false);
  notify("bdev_unregister", bdev.name);
  bdevs.remove(bdev);
  if (slots) slots->look();
}

void Target::unload_store(Lvstore& store, bool destroy) {
  for (const auto& [id, lvol] : store.lvols())
    if (Bdev* bdev = bdevs.find(lvol->uuid); bdev != nullptr) remove_bdev(*bdev);
  if (destroy) store.destroy();
  if (Bdev* base = bdevs.find(store.base_bdev); base != nullptr && base->claimed_by == "lvol") {
    base->claim.clear();
    base->claimed_by.clear();
  }
  std::erase_if(stores_, [&store](const std::unique_ptr<Lvstore>& s) { return s.get() == &store; });
}

Lvstore* Target::store_by(const std::string& key, bool by_uuid) const {
  for (const auto& store : stores_)
    if ((by_uuid ? store->uuid() : store->name()) == key) return store.get();
  return nullptr;
}

int Target::read(Bdev& bdev, std::uint64_t offset, std::span<char> into) {
  int error = bdev.device->read(offset, into);
  if (error == 0) bdev.stats.bytes_read += into.size(), ++bdev.stats.reads;
  return error;
}
int Target::write(Bdev& bdev, std::uint64_t offset, std::span<const char> from) {
  int error = bdev.device->write(offset, from);
  if (error == 0) bdev.stats.bytes_written += from.size(), ++bdev.stats.writes;
  return error;
}
int Target::zero(Bdev& bdev, std::uint64_t offset, std::uint64_t length) {
  int error = bdev.device->zero(offset, length);
  if (error == 0) bdev.stats.bytes_written += length, ++bdev.stats.writes;
  return error;
}
int Target::unmap(Bdev& bdev, std::uint64_t offset, std::uint64_t length) {
  int error = bdev.device->unmap(offset, length);
  if (error == 0) bdev.stats.bytes_unmapped += length, ++bdev.stats.unmaps;
  return error;
}

}  // namespace vnvme::sim
