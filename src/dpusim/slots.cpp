#include "dpusim/slots.hpp"

#include "dpusim/target.hpp"

namespace vnvme::sim {

std::vector<SlotOption> default_slots() {
  return {
      {"volume_09", "04:00.2"}, {"volume_10", "04:00.3"}, {"volume_11", "04:00.4"}, {"volume_12", "04:00.5"}};
}

Slots::Slots(Target& target) : target_(target), sysfs_(target.settings.sysfs) {}

Result<void> Slots::start() {
  auto text = read_file(target_.settings.state + "/slots.json");
  if (!text && text.error().code != Errc::not_found) return fail(text.error());
  auto known = text ? parse_json(*text) : Result<Json>(Json::object());
  if (!known) return fail(Errc::internal, target_.settings.state + "/slots.json is no JSON");
  std::vector<std::string> keep;
  for (const auto& option : target_.settings.slots) {
    slots_.push_back({option.name, option.bdf, "", text_of(*known, option.name).value_or("")});
    keep.push_back(option.bdf);
  }
  VNVME_TRY(sysfs_.start(keep));
  // The card's functions are there from power-on, with or without a volume.
  for (const auto& slot : slots_)
    if (!sysfs_.add_device(slot.bdf, "KALRAY-" + slot.name))
      return fail(Errc::internal, "the fake device " + slot.bdf + " cannot be made");
  started_ = true;
  look();
  return {};
}

Bdev* Slots::wanted(const Slot& slot) const {
  bool late = target_.settings.binding == Binding::by_name;
  if (!late && slot.owner.empty()) return nullptr;
  Bdev* bdev = target_.bdevs.find(late ? std::string(kStore) + "/" + slot.name : slot.owner);
  return bdev != nullptr && bdev->kind == Kind::lvol ? bdev : nullptr;
}

void Slots::bind(Slot& slot, Bdev& bdev) {
  slot.bound = bdev.uuid;
  bdev.claim = "exclusive_write";
  bdev.claimed_by = "slot";
  Json content = {{"nsid", 1},
                  {"uuid", bdev.uuid},
                  {"size", bdev.bytes()},
                  {"nbd", target_.nbd_open ? target_.nbd_open(bdev) : std::string()}};
  (void)sysfs_.put_namespace(slot.bdf, 1, content);
}

void Slots::unbind(Slot& slot) {
  sysfs_.remove_namespace(slot.bdf, 1);
  if (Bdev* bdev = target_.bdevs.find(slot.bound); bdev != nullptr) {
    if (target_.nbd_close) target_.nbd_close(*bdev);
    if (bdev->claimed_by == "slot") {
      bdev->claim.clear();
      bdev->claimed_by.clear();
    }
  }
  slot.bound.clear();
}

void Slots::look() {
  if (!started_) return;
  // First what goes: a name that moved from one lvol to another frees the first one before.
  for (auto& slot : slots_) {
    Bdev* bdev = wanted(slot);
    if (!slot.bound.empty() && (bdev == nullptr || bdev->uuid != slot.bound)) unbind(slot);
  }
  for (auto& slot : slots_)
    if (Bdev* bdev = wanted(slot); bdev != nullptr && slot.bound.empty()) bind(slot, *bdev);
}

void Slots::created(const Bdev& bdev) {
  for (auto& slot : slots_) {
    if (bdev.alias != std::string(kStore) + "/" + slot.name) continue;
    slot.owner = bdev.uuid;
    save();
  }
  look();
}

void Slots::resized(const Bdev& bdev) {
  for (const auto& slot : slots_)
    if (slot.bound == bdev.uuid)
      (void)sysfs_.put_namespace(
          slot.bdf, 1,
          {{"nsid", 1},
           {"uuid", bdev.uuid},
           {"size", bdev.bytes()},
           {"nbd", target_.nbd_open ? target_.nbd_open(*target_.bdevs.find(bdev.uuid)) : ""}});
}

void Slots::save() const {
  Json owners = Json::object();
  for (const auto& slot : slots_) owners[slot.name] = slot.owner;
  (void)write_file(target_.settings.state + "/slots.json", dump_json(owners) + "\n");
}

Json Slots::dump() const {
  Json out = Json::array();
  for (const auto& slot : slots_)
    out.push_back({{"name", slot.name}, {"bdf", slot.bdf}, {"bdev", slot.bound}});
  return out;
}

}  // namespace vnvme::sim
