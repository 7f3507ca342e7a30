// The back-end node of a VBD of ours in xenstore, and "close at birth" (seen
// with the real xenopsd): a 9pfs back-end that nobody serves makes a guest that
// loads the 9p driver wait for minutes, and a clean unplug fail after 300 s;
// with state 6 (Closed) from the beginning neither waits. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vnvme::host {

inline constexpr std::string_view kMarkerRoot = "/local/domain/0/backend/9pfs";
// Our own key in XenDisk.extra; xenopsd copies it into the node, below sm-data.
inline constexpr std::string_view kMarkerKey = "vnvme-vdi";
inline constexpr std::string_view kXenbusClosed = "6";

// .../<domid>/<device>/<rest>; what is not there is missing.
struct MarkerPath {
  std::optional<std::uint32_t> domid, device;
  std::string rest;
  friend bool operator==(const MarkerPath&, const MarkerPath&) = default;
};
// Nothing: no path below kMarkerRoot (or of no form that xenopsd makes).
std::optional<MarkerPath> parse_marker_path(std::string_view path);
std::string marker_node(std::uint32_t domid, std::uint32_t device);

struct MarkerNode {
  bool ours = false;  // has our key
  std::string hotplug_status, state;
};
enum class MarkerAction {
  leave,     // somebody else's, closed already, or not there
  wait,      // before hotplug-status another state would swallow the uevent, and the start would time out
  close,     // write state 6
  conflict,  // somebody serves the node: the host's QEMU knows 9pfs
};
MarkerAction marker_action(const MarkerNode& node);

// The VBD has userdevice 0 to 3: on an HVM guest QEMU then opens the marker file as an IDE disk (by
// xenstore's device numbers: 768, 832, 5632, 5696).
bool is_emulated_disk(std::uint32_t device);

}  // namespace vnvme::host
