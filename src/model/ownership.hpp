// Who may have a volume, and how (I3). Pure decisions; the store's UNIQUE
// constraint and the DPU's own listing are the second and third lock.
#pragma once
#include <optional>
#include <string>

#include "model/world.hpp"
#include "vnvme/result.hpp"

namespace vnvme::model {

inline constexpr const char* kDom0 = "dom0";

// "u0_vbd_0_xvda", "u0-...", "0" mean dom0; digits mean a guest; everything else (also "") means nobody.
enum class DomainKind { dom0, guest, nobody };
DomainKind domain_kind(std::string_view domain);
// Digits to a domid; nothing when it is none.
std::optional<std::uint32_t> domid_of(std::string_view domain);

std::string owner_of_vm(const VmId&);
std::optional<VmId> vm_of_owner(std::string_view owner);
// For people: "VM 6c84…", "dom0 (u0_vbd_0_xvda, …)"
std::string describe_owner(const AttachmentRecord&);

// May `owner` attach this volume now? in_use names who has it. A hold that is being released is `busy`:
// the caller may wait for it.
Result<void> may_attach(const World&, const VolumeRecord&, const std::string& owner);

// May `owner`, who attached it, use it in that mode?
//   snapshots are read-only for everybody; a guest can not be given a writable volume read-only,
//   because nothing between its NVMe driver and the namespace would stop a write; dom0 can.
Result<void> may_activate(const World&, const VolumeRecord&, const std::string& owner, AttachMode mode);

// May storage of this volume be deleted or replaced?
Result<void> may_destroy(const World&, const VolumeRecord&);

}  // namespace vnvme::model
