// What the vm-pre-start hook reads: vnvmed's file of reservations, xenopsd's records of PCI functions.
#include "fuzz/fuzz.hpp"
#include "hook/pci_list.hpp"
#include "vnvme/reservation_text.hpp"

using vnvme::fuzz::require;
namespace gate = vnvme::gate;
namespace hook = vnvme::hook;

namespace {

void file(std::string_view text) {
  const auto got = gate::decode(text);
  require(got.value.has_value() == got.problem.empty(), "either a value or a problem");
  if (!got.value) return;
  require(got.value->functions.size() + got.value->awaited.size() <= gate::kMostRows, "rows are bounded");
  const auto again = gate::encode(*got.value);
  require(again.has_value(), "what was read can be written");
  require(gate::decode(*again).value == got.value, "and means the same");
}

void record(std::string_view text) {
  if (const auto address = hook::address_of_record(text))
    require(gate::parse_pci_address(to_text(*address)) == address, "an address survives its text");
  const auto cut = text.find('\n');
  hook::PciList list;
  hook::add_entry(list, text.substr(0, cut), text.substr(cut == std::string_view::npos ? 0 : cut + 1));
  require(list.plugged.size() <= 1 && list.named.size() <= 1, "one entry is one function");
  require(list.named.empty() || !list.problem.empty(), "what disagrees is told");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = vnvme::fuzz::text(data, size);
  file(text);
  record(text);
  return 0;
}
