// The PCI functions that a start will plug, as xenopsd keeps them: one file an
// entry, PCI/<VM uuid>/pci.0000:01:00.0, beside VM/<VM uuid>/config, each the
// JSON of a record (ocaml/xenopsd/lib/xenops_server.ml, PCI_DB):
//   {"address":{"fn":0,"dev":0,"bus":1,"domain":0},"position":0,"id":["<VM uuid>","0000:01:00.0"]}
// xenopsd reads them for the list of its steps before it runs vm-pre-start, and
// nothing changes them in between: it works off one operation of a VM at a time.
// It plugs what `address` says; the file's name says the same. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/reservation_text.hpp"

namespace vnvme::hook {

inline constexpr std::size_t kEntryLimit = 16u << 10;  // bytes of one record
inline constexpr std::size_t kMostEntries = 256;       // of one VM

struct PciList {
  bool known = false;   // false: xenopsd's records were not where they are expected
  std::string problem;  // what was odd; for the log
  std::vector<gate::PciAddress> plugged;
  std::vector<gate::PciAddress>
      named;  // by a file whose record says another address: suspicious, not plugged
};

// The four numbers of "address"; nothing when they are not there as numbers in range.
std::optional<gate::PciAddress> address_of_record(std::string_view json);
// "pci.0000:01:00.0"; nothing for another form.
std::optional<gate::PciAddress> address_of_name(std::string_view file);

// Files that are no entries are left out. A record that cannot be read counts as what its name says.
void add_entry(PciList& list, std::string_view file, std::optional<std::string_view> record);

}  // namespace vnvme::hook
