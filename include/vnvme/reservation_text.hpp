// /run/vnvme/reservations: which PCI functions of this host are vnvme's and
// whose they are. vnvmed writes it anew at each change; the vm-pre-start hook
// answers from it, also while vnvmed is down. One row a line, words between
// single spaces:
//
//   vnvme-reservations 1                  the version of the form
//   boot BOOT-ID                          addresses are good in that boot only (C6)
//   function 0000:26:0c.1 VM DPU ID       VM "-": a function of ours that nobody has
//   awaited VM WHY DPU                    reserved, but no address is known; WHY: opening, unseen, gone
//   end N                                 N rows of the two kinds stood above
//
// Bytes that are no printable ASCII, and % itself, stand as %xx. Unknown rows are errors: a new row is a new
// version. Pure, no library, so that the hook stays small.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vnvme::gate {

inline constexpr std::string_view kDefaultFile = "/run/vnvme/reservations";
inline constexpr std::size_t kFileLimit = 2u << 20;  // bytes
inline constexpr std::size_t kMostRows = 8192;
inline constexpr std::size_t kWordLimit = 512;  // bytes of a DPU's or function's name, before %xx

// domain 16 bits, bus 8, device 5, function 3: the width of XAPI's own format, %04x:%02x:%02x.%01x.
struct PciAddress {
  std::uint32_t bits = 0;
  friend auto operator<=>(const PciAddress&, const PciAddress&) = default;
};
// Exactly dddd:bb:dd.f, hexadecimal.
std::optional<PciAddress> parse_pci_address(std::string_view text);
// Nothing when a number is out of range.
std::optional<PciAddress> make_pci_address(std::uint64_t domain, std::uint64_t bus, std::uint64_t device,
                                           std::uint64_t function);
std::string to_text(PciAddress address);

struct Function {
  PciAddress address;
  std::string vm;  // empty: nobody's
  std::string dpu, id;
  friend bool operator==(const Function&, const Function&) = default;
};

enum class Why {
  opening,  // vnvmed is at it
  unseen,   // the DPU has not listed its functions since this host booted
  gone,     // the DPU listed them, and it was not among them
};
std::string_view to_text(Why why);

struct Awaited {
  std::string vm;
  Why why = Why::opening;
  std::string dpu;
  friend bool operator==(const Awaited&, const Awaited&) = default;
};

struct Reservations {
  std::string boot;
  std::vector<Function> functions;
  std::vector<Awaited> awaited;
  friend bool operator==(const Reservations&, const Reservations&) = default;
};

// Nothing: it breaks a limit above.
std::optional<std::string> encode(const Reservations& all);

struct Decoded {
  std::optional<Reservations> value;
  std::string problem;  // when there is no value: what is wrong, with the line
};
Decoded decode(std::string_view text);

}  // namespace vnvme::gate
