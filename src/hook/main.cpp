// vnvme-vm-pre-start: xenopsd runs it before it makes a VM's domain, for every
// VM of the host (/etc/xapi.d/vm-pre-start/). It stops a start that would hand
// a running VM's function to another one, or a VM without its drive. It asks
// nobody: vnvmed may be down, and so may the DPU.
//
// What it prints is what XAPI shows in XAPI_HOOK_FAILED. VNVME_RESERVATIONS
// names another file than the default; VNVME_GATE_ROOT stands before all paths
// (a folder with proc/, dev/, run/ and var/run/): for tests.
#include <stdlib.h>
#include <unistd.h>

#include "hook/gate.hpp"
#include "hook/system.hpp"
#include "vnvme/ids.hpp"

namespace vnvme::hook {
namespace {

// Fixed in xenopsd, whatever its configuration file says (xc/xenops_xc_main.ml: set_root).
constexpr const char* kXenopsd = "/var/run/nonpersistent/xenopsd/classic";
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
constexpr const char* kLog = "/dev/log";

std::string variable(const char* name) {
  const char* value = getenv(name);
  return value != nullptr ? value : "";
}

File look_at_file(const std::string& root) {
  std::string path = variable("VNVME_RESERVATIONS");
  if (path.empty()) path = root + std::string(gate::kDefaultFile);
  File out;
  auto boot = read_file(root + kBootId, 128);
  out.boot = boot.content.substr(0, boot.content.find('\n'));
  auto text = read_file(path, gate::kFileLimit);
  if (text.state == Text::State::absent) return out;
  out.state = File::State::unusable;
  out.problem = text.problem;
  if (text.state == Text::State::unusable) return out;
  auto decoded = gate::decode(text.content);
  out.problem = path + ": " + decoded.problem;
  if (!decoded.value) return out;
  out.state = File::State::whole;
  out.content = std::move(*decoded.value);
  return out;
}

PciList look_at_list(const std::string& root, const std::string& vm) {
  const std::string base = root + kXenopsd;
  PciList out;
  // A VM without any entry has no folder below PCI; whether xenopsd knows the VM is told elsewhere.
  if (!is_there(base + "/VM/" + vm + "/config")) {
    out.problem = "xenopsd keeps no record of it below " + base;
    return out;
  }
  const std::string folder = base + "/PCI/" + vm;
  auto entries = list_folder(folder, kMostEntries);
  out.problem = entries.problem;
  if (entries.state == Text::State::unusable) return out;
  out.known = true;
  for (const std::string& name : entries.names) {
    auto record = read_file(folder + "/" + name, kEntryLimit);
    bool whole = record.state == Text::State::whole;
    add_entry(out, name, whole ? std::optional<std::string_view>(record.content) : std::nullopt);
  }
  return out;
}

std::optional<std::string> vm_of(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; ++i)
    if (std::string_view(argv[i]) == "-vmuuid") return parse_uuid(argv[i + 1]);
  return std::nullopt;
}

constexpr const char* kHelp =
    "vnvme-vm-pre-start -vmuuid UUID [...]\n"
    "xenopsd runs this hook before a VM starts. Exit code 0 or 1: the VM may start; other: it may not, and\n"
    "the sentence says why and what to do.\n";

int run(int argc, char** argv) {
  never_block();
  std::string_view word = argc < 2 ? "--help" : argc == 2 ? argv[1] : "";
  if (word == "--version" || word == "--help") {
    print(word == "--help" ? kHelp : "vnvme-vm-pre-start " VNVME_VERSION "\n");
    return kStart;
  }
  const std::string root = variable("VNVME_GATE_ROOT");
  const std::string log = root + kLog;
  auto vm = vm_of(argc, argv);
  if (!vm) {
    log_line(log, Severity::warning, "called without -vmuuid and a uuid: nothing was checked");
    return kStart;
  }
  File file = look_at_file(root);
  PciList list;
  if (file.state == File::State::whole) list = look_at_list(root, *vm);
  Verdict verdict = decide(*vm, file, list);
  if (verdict.code != kStart) log_line(log, Severity::warning, verdict.sentence);
  if (!verdict.note.empty()) log_line(log, Severity::notice, "VM " + *vm + " starts: " + verdict.note);
  print(verdict.sentence);
  return verdict.code;
}

}  // namespace
}  // namespace vnvme::hook

// _exit: there is nothing to flush.
int main(int argc, char** argv) {
  _exit(vnvme::hook::run(argc, argv));
}
