// Names of things. Each kind is its own type, so that a volume's id cannot be
// passed where a pool's is wanted. All are plain text; parse_uuid checks form.
#pragma once
#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace vnvme {

template <class Tag>
struct Id {
  std::string value;
  Id() = default;
  explicit Id(std::string text) : value(std::move(text)) {}
  [[nodiscard]] bool empty() const noexcept { return value.empty(); }
  [[nodiscard]] const std::string& str() const noexcept { return value; }
  friend auto operator<=>(const Id&, const Id&) = default;
  friend bool operator==(const Id&, const Id&) = default;
};

using SrId = Id<struct SrTag>;                // XAPI's SR uuid
using VolumeId = Id<struct VolumeTag>;        // our uuid of a volume = its SMAPI key = XAPI's VDI uuid
using VmId = Id<struct VmTag>;                // XAPI's VM uuid
using RequestId = Id<struct RequestTag>;      // made by each front-end process (R1)
using DpuId = Id<struct DpuTag>;              // canonical URI of a DPU's control endpoint
using PoolId = Id<struct PoolTag>;            // the DPU's uuid of an lvol store
using DpuVolumeId = Id<struct DpuVolumeTag>;  // the DPU's uuid of an lvol
using FunctionId = Id<struct FunctionTag>;  // the DPU's own name of a PCI function (VUID or NQN), never a BDF

// Lower-case canonical form (8-4-4-4-12), or nothing when the text is no uuid.
std::optional<std::string> parse_uuid(std::string_view text);
// A random version-4 uuid, from the kernel's generator.
std::string random_uuid();
// The 32 hex digits of a uuid, and back. Empty / nothing when the form is wrong.
std::string uuid_hex(std::string_view uuid);
std::optional<std::string> uuid_from_hex(std::string_view hex);

}  // namespace vnvme

template <class Tag>
struct std::hash<vnvme::Id<Tag>> {
  std::size_t operator()(const vnvme::Id<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.value);
  }
};
