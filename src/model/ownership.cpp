#include "model/ownership.hpp"

#include <charconv>

#include "core/text.hpp"

namespace vnvme::model {
namespace {
constexpr std::string_view kVmPrefix = "vm:";
}

DomainKind domain_kind(std::string_view domain) {
  if (domain == "0" || domain.substr(0, 3) == "u0_" || domain.substr(0, 3) == "u0-") return DomainKind::dom0;
  return domid_of(domain) ? DomainKind::guest : DomainKind::nobody;
}

std::optional<std::uint32_t> domid_of(std::string_view domain) {
  std::uint32_t id = 0;
  auto [end, error] = std::from_chars(domain.data(), domain.data() + domain.size(), id);
  if (error != std::errc{} || end != domain.data() + domain.size() || id == 0) return std::nullopt;
  return id;
}

std::string owner_of_vm(const VmId& vm) {
  return std::string(kVmPrefix) + vm.value;
}

std::optional<VmId> vm_of_owner(std::string_view owner) {
  if (owner.substr(0, kVmPrefix.size()) != kVmPrefix) return std::nullopt;
  return VmId(std::string(owner.substr(kVmPrefix.size())));
}

std::string describe_owner(const AttachmentRecord& a) {
  if (auto vm = vm_of_owner(a.owner)) return "VM " + vm->value;
  std::vector<std::string> some(a.domains.begin(), a.domains.end());
  if (some.size() > 3) some.resize(3);
  std::string text = kDom0;
  if (!some.empty()) text += " (" + join(some, ", ") + ")";
  return text;
}

Result<void> may_attach(const World& world, const VolumeRecord& volume, const std::string& owner) {
  if (volume.size.value == 0)
    return fail(Errc::not_supported,
                "volume " + volume.id.value + " has 0 bytes: there is nothing to expose; resize it first");
  for (const AttachmentRecord* a : world.attachments_of(volume.id)) {
    if (a->owner == owner) continue;
    bool leaving = a->state == AttachState::releasing;
    return fail(leaving ? Errc::busy : Errc::in_use,
                "volume " + volume.id.value +
                    (leaving ? " is still being released by " : " is attached to ") + describe_owner(*a));
  }
  return {};
}

Result<void> may_activate(const World& world, const VolumeRecord& volume, const std::string& owner,
                          AttachMode mode) {
  VNVME_TRY(may_attach(world, volume, owner));
  bool read_only_volume = volume.kind != VolumeKind::data;
  if (mode == AttachMode::read_write && read_only_volume)
    return fail(
        Errc::not_permitted,
        "volume " + volume.id.value + " is a snapshot and can only be attached read-only; clone it to write");
  if (mode == AttachMode::read_only && !read_only_volume && owner != kDom0)
    return fail(Errc::not_permitted,
                "volume " + volume.id.value +
                    " is writable, and a passed-through NVMe function cannot be made read-only "
                    "for a guest; attach it read-write, or attach a snapshot of it");
  const AttachmentRecord* mine = world.attachment(volume.id, owner);
  if (mine != nullptr && mine->mode != AttachMode::none && mine->mode != mode && mine->domains.size() > 1)
    return fail(Errc::in_use, "volume " + volume.id.value + " is already active in " + describe_owner(*mine) +
                                  " in the other mode");
  return {};
}

Result<void> may_destroy(const World& world, const VolumeRecord& volume) {
  for (const AttachmentRecord* a : world.attachments_of(volume.id))
    return fail(a->state == AttachState::releasing ? Errc::busy : Errc::in_use,
                "volume " + volume.id.value + " is " +
                    (a->state == AttachState::releasing ? "still being released by " : "attached to ") +
                    describe_owner(*a));
  return {};
}

}  // namespace vnvme::model
