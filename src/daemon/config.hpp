// /etc/vnvme/vnvmed.json: what an administrator may decide. Every key has a
// default, so an absent or empty file is a working configuration. What is
// written must be right: an unknown key or a wrong value stops the start with
// a text that names file, key, what is wrong and what is accepted.
// docs/configuration.md explains each key.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/log.hpp"
#include "vnvme/result.hpp"

namespace vnvme::daemon {

struct DpuConfig {
  std::string name;
  std::string uri;  // "unix:/path", "tcp:ADDRESS:PORT" or "kalray:ADDRESS:PORT"
  // Where functions listen when the target has no PCI side of its own; empty: none.
  std::string listener;
  std::string clear_method;  // of new lvols: "unmap", "write_zeroes", "none"; empty: the target's default
  // Kalray: the file with user and password, and which function shows the volume of which name.
  std::string credentials;
  std::vector<std::pair<std::string, std::string>> functions;
};

enum class HostKind { sysfs, fake };
// none: functions are reserved by hand.
enum class ToolstackKind { none, xapi };
enum class DomainsKind { xenstore, scripted };

struct Config {
  std::string file;  // where it came from, for texts
  std::string run_dir = "/run/vnvme";
  std::string state_path = "/var/lib/vnvme/state.db";
  std::string state_copy_path = "/var/lib/vnvme/state-copy.db";  // empty: no second copy
  std::string smapi_socket;                                      // RUN_DIR/smapi.sock
  std::string admin_socket;                                      // RUN_DIR/admin.sock
  std::string marker_path;                                       // RUN_DIR/marker
  std::string reservations_path;                                 // RUN_DIR/reservations
  log::Level log_level = log::Level::info;
  std::string log_path = "-";  // "-": stderr, which systemd keeps in the journal
  std::vector<DpuConfig> dpus;
  HostKind host = HostKind::sysfs;
  std::string host_root = "/";
  DomainsKind domains = DomainsKind::xenstore;
  std::string domains_root = "/";
  ToolstackKind toolstack = ToolstackKind::none;
  std::size_t spare_functions = 2;  // of each DPU; with a toolstack only
  std::string xapi_uri = "unix:/var/lib/xcp/xapi";
};

inline constexpr std::size_t kConfigLimit = 1u << 20;
inline constexpr std::size_t kMostDpus = 16;
inline constexpr std::size_t kMostSpares = 64;

// All problems at once, one a line, each "FILE: KEY ...".
Result<Config> parse_config(std::string_view text, const std::string& file);
// The default path may be absent (all defaults); a path that was asked for must be there.
Result<Config> load_config(const std::string& path, bool must_exist);

// Is it "unix:/abs/path" or "tcp:NUMERIC-ADDRESS:PORT"? Otherwise why not. A DPU's may also be
// "kalray:NUMERIC-ADDRESS:PORT".
Result<void> check_uri(const std::string& uri);
Result<void> check_dpu_uri(const std::string& uri);

}  // namespace vnvme::daemon
