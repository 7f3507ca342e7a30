// May this VM start? From vnvmed's file and xenopsd's list to one verdict, with
// the sentence that XAPI shows. A VM that has nothing to do with vnvme always
// may, whatever is wrong with vnvme. Pure.
#pragma once
#include <string>
#include <string_view>

#include "hook/pci_list.hpp"
#include "vnvme/reservation_text.hpp"

namespace vnvme::hook {

// xenopsd logs 1 and goes on; it aborts the start with XAPI_HOOK_FAILED on any other but 0
// (ocaml/xenopsd/lib/xenops_hooks.ml).
inline constexpr int kStart = 0;
inline constexpr int kStartAndLog = 1;
inline constexpr int kStranger = 3;  // a function of ours in its list is not reserved for it
inline constexpr int kAwaited = 4;   // one is reserved for it, and nobody knows its address now
inline constexpr int kLacking = 5;   // one is reserved for it and not in its list
inline constexpr int kStale = 6;     // it has one, and what is known is of an earlier boot

// What was found where vnvmed's file should be.
struct File {
  enum class State { absent, unusable, whole } state = State::absent;
  std::string problem;  // unusable: why
  gate::Reservations content;
  std::string boot;  // of this host, now
};

struct Verdict {
  int code = kStart;
  std::string sentence;  // for people; empty when the VM starts
  std::string note;      // for the log, when it starts although something is odd
};

Verdict decide(const std::string& vm, const File& file, const PciList& list);

}  // namespace vnvme::hook
