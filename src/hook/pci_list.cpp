#include "hook/pci_list.hpp"

#include <charconv>
#include <cstdint>

namespace vnvme::hook {
namespace {

constexpr std::string_view kPrefix = "pci.";
constexpr int kMostMembers = 16;

// Just enough of JSON for one flat object of numbers.
class Scan {
 public:
  explicit Scan(std::string_view text) : rest_(text) {}
  bool take(char c) {
    auto at = rest_.find_first_not_of(" \t\r\n");
    if (at == std::string_view::npos || rest_[at] != c) return false;
    rest_.remove_prefix(at + 1);
    return true;
  }
  std::optional<std::string_view> key() {
    if (!take('"')) return std::nullopt;
    auto end = rest_.find('"');
    if (end == std::string_view::npos) return std::nullopt;
    auto name = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return take(':') ? std::optional(name) : std::nullopt;
  }
  std::optional<std::uint64_t> number() {
    auto at = rest_.find_first_not_of(" \t\r\n");
    if (at == std::string_view::npos) return std::nullopt;
    rest_.remove_prefix(at);
    std::uint64_t value = 0;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::optional<gate::PciAddress> address_of_record(std::string_view json) {
  constexpr std::string_view kKey = "\"address\"";
  auto at = json.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  Scan scan(json.substr(at + kKey.size()));
  if (!scan.take(':') || !scan.take('{')) return std::nullopt;
  constexpr std::string_view kNames[] = {"domain", "bus", "dev", "fn"};
  std::optional<std::uint64_t> part[4];
  for (int members = 0; members < kMostMembers; ++members) {
    auto key = scan.key();
    auto value = key ? scan.number() : std::nullopt;
    if (!value) return std::nullopt;
    for (std::size_t i = 0; i < 4; ++i)
      if (*key == kNames[i]) part[i] = value;
    if (scan.take(',')) continue;
    if (!scan.take('}') || !part[0] || !part[1] || !part[2] || !part[3]) return std::nullopt;
    return gate::make_pci_address(*part[0], *part[1], *part[2], *part[3]);
  }
  return std::nullopt;
}

std::optional<gate::PciAddress> address_of_name(std::string_view file) {
  if (!file.starts_with(kPrefix)) return std::nullopt;
  return gate::parse_pci_address(file.substr(kPrefix.size()));
}

void add_entry(PciList& list, std::string_view file, std::optional<std::string_view> record) {
  if (!file.starts_with(kPrefix)) return;
  auto name = address_of_name(file);
  auto address = record ? address_of_record(*record) : std::nullopt;
  if (address) {
    list.plugged.push_back(*address);
    if (name == address) return;
    if (name) list.named.push_back(*name);
  } else if (name) {
    list.plugged.push_back(*name);
  }
  list.problem = "xenopsd's record of a PCI function is not of the expected form";
}

}  // namespace vnvme::hook
