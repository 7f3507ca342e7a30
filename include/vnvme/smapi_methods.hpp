// The SMAPIv3 methods that vnvme has, for both ends of the socket: the
// front-end (deadline, command line form) and the daemon (who needs the word).
// Plain data: the front-end has no library at all.
#pragma once
#include <cstddef>
#include <cstdint>

namespace vnvme::smapi {

struct MethodFacts {
  const char* name;         // as the script is called; compared without regard to case, as the broker does
  std::uint16_t seconds;    // the front-end's deadline; the daemon gets less (kDaemonMarginMs)
  bool needs_word;          // R5: makes a volume that nobody may lose or see too early
  bool local;               // answered by the front-end, with the daemon down too
  const char* positionals;  // without --json: parameters in order; "@configuration" is an option; nullptr: no
                            // such form
};

inline constexpr MethodFacts kMethods[] = {
    {"Plugin.Query", 2, false, true, ""},
    {"Plugin.diagnostics", 2, false, true, ""},
    {"SR.probe", 60, false, false, "@configuration"},
    {"SR.create", 600, false, false, nullptr},
    {"SR.attach", 10, false, false, "@configuration"},
    {"SR.detach", 30, false, false, "sr"},
    {"SR.destroy", 600, false, false, nullptr},
    {"SR.stat", 60, false, false, "sr"},
    {"SR.ls", 60, false, false, "sr"},
    {"SR.set_name", 10, false, false, nullptr},
    {"SR.set_description", 10, false, false, nullptr},
    {"Volume.create", 60, true, false, nullptr},
    {"Volume.snapshot", 60, true, false, nullptr},
    {"Volume.clone", 60, true, false, nullptr},
    {"Volume.destroy", 10, false, false, nullptr},
    {"Volume.stat", 10, false, false, "sr key"},
    {"Volume.set_name", 10, false, false, nullptr},
    {"Volume.set_description", 10, false, false, nullptr},
    {"Volume.set", 10, false, false, nullptr},
    {"Volume.unset", 10, false, false, nullptr},
    {"Volume.resize", 60, false, false, nullptr},
    {"Volume.revert", 60, false, false, nullptr},
    {"Datapath.attach", 60, false, false, "uri domain"},
    {"Datapath.activate", 60, false, false, "uri domain"},
    {"Datapath.activate_readonly", 60, false, false, "uri domain"},
    {"Datapath.deactivate", 10, false, false, "uri domain"},
    {"Datapath.detach", 10, false, false, "uri domain"},
};

// The daemon must answer before the front-end gives up: it gets what is left minus this, at least three
// quarters.
inline constexpr std::uint32_t kDaemonMarginMs = 2000;

inline constexpr std::uint32_t daemon_deadline_ms(std::uint32_t left_ms) {
  return left_ms - (left_ms / 4 < kDaemonMarginMs ? left_ms / 4 : kDaemonMarginMs);
}

constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// nullptr: not one of ours.
constexpr const MethodFacts* find_method(const char* name, std::size_t length) {
  for (const auto& m : kMethods) {
    std::size_t i = 0;
    while (i < length && m.name[i] != '\0' && ascii_lower(m.name[i]) == ascii_lower(name[i])) ++i;
    if (i == length && m.name[i] == '\0') return &m;
  }
  return nullptr;
}

}  // namespace vnvme::smapi
