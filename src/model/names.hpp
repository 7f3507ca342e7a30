// Names that vnvme gives to objects on a DPU. They alone must be enough to
// find everything again when the store is lost (C5), and they mark what is
// ours (I1): nothing without such a name is ever changed or deleted.
//
//   pool     vnvme.<SR uuid, 32 hex>                       at most 63 bytes in SPDK
//   RAID     vnvme-raid.<SR uuid, first 16 hex>
//   volume   vnvme.<volume uuid, 32 hex>[.<label>]         the label is cut at a character to fit
//   base     vnvme-base.<uuid>     hidden snapshot below clones
//   trash    vnvme-trash.<uuid>    destroyed, waiting to be wiped and freed
//   new      vnvme-new.<random uuid>  replacement being prepared by a revert, whose intent names it
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vnvme/ids.hpp"

namespace vnvme::model {

enum class NameKind { volume, base, trash, replacement };

struct OwnName {
  NameKind kind = NameKind::volume;
  VolumeId id;
  std::string label;  // as much of it as the name carries
};

std::string pool_name(const SrId&);
std::string raid_name(const SrId&);
std::optional<SrId> sr_of_pool_name(std::string_view name);

std::string volume_name(const VolumeId&, std::string_view label, std::size_t limit);
std::string base_name(const VolumeId&);
std::string trash_name(const VolumeId&);
std::string replacement_name(const VolumeId&);
// Nothing when the name is not one of ours.
std::optional<OwnName> parse_name(std::string_view name);

// Controller serials: 20 ASCII bytes at most (NVMe). One function a VM, one for dom0.
std::string serial_of_vm(const VmId&);
inline constexpr std::string_view kDom0Serial = "vnvme-dom0";
// A spare function is reserved for nobody yet: this stands where the VM's uuid will stand. Each has a serial
// of its own, which a VM that takes the function keeps.
VmId spare_holder(std::string_view serial);
bool is_spare(const VmId&);
// For a short look at a drive; volumes count up from 1 and never get there.
inline constexpr std::uint32_t kScratchNsid = 4095;

}  // namespace vnvme::model
