#include "host/namespace_lookup.hpp"

#include <algorithm>

#include "host/text_file.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::host {
namespace {

// Takes `letters` and then digits off the front; empty when they are not there.
std::string_view take_numbered(std::string_view& text, std::string_view letters) {
  if (!text.starts_with(letters)) return {};
  std::size_t end = letters.size();
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  if (end == letters.size() || end - letters.size() > 10) return {};
  std::string_view taken = text.substr(0, end);
  text.remove_prefix(end);
  return taken;
}

// NGUIDs are shown as plain hex digits or with dashes, depending on the kernel.
std::string hex_only(const std::string& text) {
  std::string digits;
  for (char c : text)
    if (c != '-') digits += c;
  return digits;
}

}  // namespace

std::optional<std::string> device_of_namespace(const std::string& name) {
  std::string_view rest = name;
  auto controller = take_numbered(rest, "nvme");
  if (controller.empty()) return std::nullopt;
  (void)take_numbered(rest, "c");
  auto number = take_numbered(rest, "n");
  if (number.empty() || !rest.empty()) return std::nullopt;
  return std::string(controller) + std::string(number);
}

Result<bool> namespace_has_uuid(const std::string& folder, const std::string& uuid) {
  const std::string hex = uuid_hex(uuid);
  auto own = read_text(folder + "/uuid");
  if (!own) return fail(std::move(own.error()));
  if (*own && parse_uuid(**own) == uuid) return true;
  auto nguid = read_text(folder + "/nguid");
  if (!nguid) return fail(std::move(nguid.error()));
  if (*nguid && hex_only(**nguid) == hex) return true;
  auto wwid = read_text(folder + "/wwid");
  if (!wwid) return fail(std::move(wwid.error()));
  return *wwid && (**wwid == "uuid." + uuid || **wwid == "eui." + hex);
}

Result<std::optional<std::string>> find_namespace(const std::string& function, const std::string& uuid) {
  auto controllers = list_folder(function + "/nvme");
  if (!controllers) return fail(std::move(controllers.error()));
  if (!*controllers) return std::nullopt;
  for (const std::string& controller : **controllers) {
    const std::string folder = function + "/nvme/" + controller;
    auto entries = list_folder(folder);
    if (!entries) return fail(std::move(entries.error()));
    if (!*entries) continue;  // it went away while we looked
    for (const std::string& entry : **entries) {
      auto device = device_of_namespace(entry);
      if (!device) continue;
      auto same = namespace_has_uuid(folder + "/" + entry, uuid);
      if (!same) return fail(std::move(same.error()));
      if (*same) return device;
    }
  }
  return std::nullopt;
}

}  // namespace vnvme::host
