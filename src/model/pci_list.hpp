// VM.other_config:pci, XAPI's list of PCI functions to pass through:
// "0/0000:81:00.2,1/0000:81:00.3" (ocaml/xapi/pciops.ml: items that it cannot
// read are ignored; the number is the plug order; equal numbers reverse the
// order). Others write it as well: XO's own page does, with all numbers 0. Pure.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vnvme::model {

struct PciList {
  std::vector<std::string> bdfs;    // 0000:BB:DD.F, lower case, in plug order
  std::vector<std::string> unread;  // items that XAPI ignores: kept as they are
  bool numbered = true;             // no number twice, no function twice
};
// Never fails: what cannot be read is `unread`.
PciList parse_pci_list(std::string_view text);
std::string format_pci_list(const PciList& list);

// What the key should be for a VM that has the functions `mine`; nothing: leave it. An empty text: take the
// key away. Entries that is_ours() does not claim are somebody's and stay, before ours. What is_ours()
// claims and `mine` lacks is another VM's function, or nobody's: it goes.
std::optional<std::string> repaired_pci_list(std::string_view now, const std::vector<std::string>& mine,
                                             const std::function<bool(const std::string&)>& is_ours);

}  // namespace vnvme::model
