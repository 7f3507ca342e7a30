#include "host/xenstore_domains.hpp"

#include <charconv>

#include "core/text.hpp"
#include "host/text_file.hpp"

namespace vnvme::host {
namespace {

constexpr std::uint32_t kFirstReservedDomid = 0x7FF0;  // Xen: DOMID_FIRST_RESERVED

std::optional<std::uint32_t> parse_domid(const std::string& text) {
  std::uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value >= kFirstReservedDomid)
    return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return value;
}

// "/vm/<uuid>"
Result<VmId> parse_vm(const std::string& where, const std::string& text) {
  constexpr std::string_view kPrefix = "/vm/";
  if (text.starts_with(kPrefix)) {
    // During a localhost migration xenopsd writes another form for a moment: an error, and the caller asks
    // again.
    if (auto uuid = parse_uuid(text.substr(kPrefix.size()))) return VmId(*uuid);
  }
  return fail(Errc::protocol,
              "xenstore: " + where + " holds \"" + printable(text, 80) + "\" and not /vm/<uuid>");
}

std::string vm_key(std::uint32_t domid) {
  return "/local/domain/" + std::to_string(domid) + "/vm";
}

}  // namespace

Task<Result<std::optional<std::string>>> XenstoreFolder::read(std::string path, Deadline) {
  co_return read_text(root_ + path);
}

Task<Result<std::vector<std::string>>> XenstoreFolder::list(std::string path, Deadline) {
  auto names = list_folder(root_ + path);
  if (!names) co_return fail(std::move(names.error()));
  co_return names->value_or(std::vector<std::string>{});
}

Task<Result<std::optional<VmId>>> XenstoreDomains::vm_of(std::uint32_t domid, Deadline deadline) {
  if (domid >= kFirstReservedDomid)
    co_return fail(Errc::invalid_argument, std::to_string(domid) + " is no domain id");
  const std::string key = vm_key(domid);
  auto text = co_await xenstore_->read(key, deadline);
  if (!text) co_return fail(std::move(text.error()));
  if (!*text) co_return std::nullopt;
  auto vm = parse_vm(key, **text);
  if (!vm) co_return fail(std::move(vm.error()));
  co_return std::optional<VmId>(std::move(*vm));
}

Task<Result<std::vector<std::uint32_t>>> XenstoreDomains::domains_of(VmId vm, Deadline deadline) {
  auto names = co_await xenstore_->list("/local/domain", deadline);
  if (!names) co_return fail(std::move(names.error()));
  std::vector<std::uint32_t> found;
  for (const std::string& name : *names) {
    auto domid = parse_domid(name);
    if (!domid)
      co_return fail(Errc::protocol, "xenstore: /local/domain/" + printable(name, 32) + " is no domain id");
    auto owner = co_await vm_of(*domid, deadline);
    if (!owner) co_return fail(std::move(owner.error()));
    if (*owner && **owner == vm) found.push_back(*domid);
  }
  co_return found;
}

}  // namespace vnvme::host
