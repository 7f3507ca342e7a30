#include "host/marker.hpp"

#include <charconv>

namespace vnvme::host {
namespace {

constexpr std::uint32_t kFirstReservedDomid = 0x7FF0;  // Xen: DOMID_FIRST_RESERVED

// Decimal, as xenopsd writes it: no sign, no leading zero.
std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

// Takes the text up to the next slash off.
std::string_view word(std::string_view& text) {
  auto slash = text.find('/');
  auto first = text.substr(0, slash);
  text = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  return first;
}

}  // namespace

std::optional<MarkerPath> parse_marker_path(std::string_view path) {
  if (!path.starts_with(kMarkerRoot)) return std::nullopt;
  path.remove_prefix(kMarkerRoot.size());
  MarkerPath out;
  if (path.empty()) return out;
  if (path.front() != '/') return std::nullopt;
  path.remove_prefix(1);
  out.domid = number(word(path));
  if (!out.domid || *out.domid >= kFirstReservedDomid) return std::nullopt;
  if (path.empty()) return out;
  out.device = number(word(path));
  if (!out.device) return std::nullopt;
  out.rest = std::string(path);
  return out;
}

std::string marker_node(std::uint32_t domid, std::uint32_t device) {
  std::string out(kMarkerRoot);
  return out.append("/").append(std::to_string(domid)).append("/").append(std::to_string(device));
}

MarkerAction marker_action(const MarkerNode& node) {
  if (!node.ours || node.state.empty() || node.state == kXenbusClosed) return MarkerAction::leave;
  if (node.state == "5") return MarkerAction::close;  // a clean unplug waits for it already
  if (node.state != "1") return MarkerAction::conflict;
  return node.hotplug_status == "connected" ? MarkerAction::close : MarkerAction::wait;
}

bool is_emulated_disk(std::uint32_t device) {
  return device == 768 || device == 832 || device == 5632 || device == 5696;
}

}  // namespace vnvme::host
