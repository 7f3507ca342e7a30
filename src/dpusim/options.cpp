#include "dpusim/options.hpp"

#include <charconv>

#include "core/text.hpp"
#include "vnvme/units.hpp"

namespace vnvme::sim {
namespace {

Result<std::uint64_t> number(const std::string& option, const std::string& text, std::uint64_t most) {
  std::uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n > most)
    return fail(Errc::invalid_argument,
                option + " takes a number of at most " + std::to_string(most) + ", not \"" + text + "\"");
  return n;
}

Result<void> drive_part(DriveOption& drive, const std::string& key, const std::string& value) {
  if (key == "name") {
    drive.name = value;
  } else if (key == "serial") {
    drive.serial = value;
  } else if (key == "model") {
    drive.model = value;
  } else if (key == "unmap" && (value == "zeroes" || value == "keeps")) {
    drive.unmap_zeroes = value == "zeroes";
  } else if (key == "size") {
    auto size = parse_bytes(value);
    if (!size) return fail(size.error());
    drive.size = size->value;
  } else if (key == "block" && (value == "512" || value == "4096")) {
    drive.block_size = value == "512" ? 512 : 4096;
  } else {
    return fail(Errc::invalid_argument, "--drive does not know \"" + key + "=" + value + "\"");
  }
  return {};
}

Result<DriveOption> parse_drive(const std::string& text) {
  DriveOption drive;
  for (const auto& part : split(text, ',')) {
    auto equals = part.find('=');
    if (equals == std::string::npos)
      return fail(Errc::invalid_argument, "--drive wants key=value, not \"" + part + "\"");
    VNVME_TRY(drive_part(drive, part.substr(0, equals), part.substr(equals + 1)));
  }
  bool plain = !drive.name.empty() && drive.name.find('/') == std::string::npos && drive.name[0] != '.';
  if (!plain) return fail(Errc::invalid_argument, "--drive needs a name without slashes, e.g. name=Nvme0n1");
  if (drive.size < (1u << 20))
    return fail(Errc::invalid_argument, "--drive needs a size of at least 1MiB, e.g. size=64GiB");
  drive.size -= drive.size % drive.block_size;
  if (drive.serial.empty()) drive.serial = "SIM-" + drive.name;
  if (drive.model.empty()) drive.model = "Simulated NVMe drive";
  if (drive.serial.size() > 20 || drive.model.size() > 40)
    return fail(Errc::invalid_argument,
                "--drive: NVMe knows serials of 20 and models of 40 characters at most");
  return drive;
}

// "volume_09=04:00.2,volume_10=04:00.3"
Result<std::vector<SlotOption>> parse_slots(const std::string& text) {
  constexpr std::size_t kMost = 64;
  std::vector<SlotOption> slots;
  for (const auto& part : split(text, ',')) {
    auto equals = part.find('=');
    auto bdf = equals == std::string::npos ? std::string() : part.substr(equals + 1);
    bool plain = bdf.size() == 7 && bdf[2] == ':' && bdf[5] == '.' &&
                 bdf.find_first_not_of("0123456789abcdef:.") == std::string::npos;
    if (equals == 0 || !plain || slots.size() == kMost)
      return fail(Errc::invalid_argument, "--slots wants NAME=BB:DD.F, not \"" + part + "\"");
    slots.push_back({part.substr(0, equals), bdf});
  }
  return slots;
}

Result<void> take(Options& o, const std::string& name, const std::string& value) {
  if (name == "--state")
    o.settings.state = value;
  else if (name == "--listen")
    o.listen.push_back(value);
  else if (name == "--http")
    o.http = value;
  else if (name == "--auth-file")
    o.auth_file = value;
  else if (name == "--sysfs")
    o.settings.sysfs = value;
  else if (name == "--nbd-dir")
    o.settings.nbd = value;
  else if (name == "--snap" && (value == "on" || value == "off"))
    o.settings.snap = value == "on";
  else if (name == "--profile" && value == "v26.05")
    o.settings.profile = Profile::newest();
  else if (name == "--profile" && value == "v23.01")
    o.settings.profile = Profile::oldest();
  else if (name == "--profile" && value == "kalray")
    o.settings.profile = Profile::k200();
  else if (name == "--binding" && (value == "name" || value == "creation"))
    o.settings.binding = value == "name" ? Binding::by_name : Binding::at_creation;
  else if (name == "--slots") {
    auto slots = parse_slots(value);
    if (!slots) return fail(slots.error());
    o.settings.slots = *slots;
  } else if (name == "--drive") {
    auto drive = parse_drive(value);
    if (!drive) return fail(drive.error());
    o.settings.drives.push_back(*drive);
  } else {
    struct Number {
      const char* name;
      std::uint64_t most;
      std::uint64_t* into;
    };
    std::uint64_t ready = 0;
    for (const auto& n : {Number{"--tick-ms", 1000, &o.tick_ms}, Number{"--vfs", 250, &o.settings.vfs},
                          Number{"--hotplug", 31, &o.settings.hotplug}, Number{"--ready-fd", 1023, &ready}}) {
      if (name != n.name) continue;
      auto v = number(name, value, n.most);
      if (!v) return fail(v.error());
      *n.into = *v;
      if (n.into == &ready) o.ready_fd = static_cast<int>(ready);
      return {};
    }
    return fail(Errc::invalid_argument, "unknown option or value: " + name + " " + value + " (see --help)");
  }
  return {};
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  Options o;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    auto name = arguments[i];
    if (name == "--help" || name == "-h") {
      o.help = true;
      return o;
    }
    std::string value;
    if (auto equals = name.find('=');
        name.starts_with("--") && equals != std::string::npos && name.substr(0, equals) != "--") {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return fail(Errc::invalid_argument,
                  name + ": a value is missing, or the option is unknown (see --help)");
    }
    VNVME_TRY(take(o, name, value));
  }
  if (o.settings.state.empty()) return fail(Errc::invalid_argument, "--state DIR is needed (see --help)");
  if (o.listen.empty() && o.http.empty())
    return fail(Errc::invalid_argument, "--listen is needed, e.g. --listen unix:/tmp/dpu.sock");
  if (!o.http.empty() && o.auth_file.empty())
    return fail(Errc::invalid_argument, "--http needs --auth-file with one line user:password");
  return o;
}

std::string help_text() {
  return R"(vnvme-dpusim: a DPU to try vnvme without one

Speaks the JSON-RPC of an SPDK storage target and of NVIDIA SNAP-4, keeps real data in sparse files, survives
kill -9 as the real thing does (lvols stay, exports go), and makes mistakes on demand.

  vnvme-dpusim --state /tmp/dpu --listen unix:/tmp/dpu.sock --drive name=Nvme0n1,size=64GiB

  --state DIR           where drives and stores live; made when missing
  --listen ADDRESS      unix:/path or tcp:127.0.0.1:5260 (port 0: a free one, printed); may be repeated
  --http ADDRESS        127.0.0.1:8080: the same over HTTP, as SPDK's rpc_http_proxy.py does it
  --auth-file FILE      one line user:password, for --http
  --profile VERSION     v26.05 (default) or v23.01: which SPDK to be; kalray: a Kalray K200LP
  --slots NAME=BDF,...  kalray: which lvol name is on which function; default volume_09=04:00.2 to
                        volume_12=04:00.5
  --binding WHEN        kalray: name (default), a renamed lvol is on the function of its name; or creation, an
                        lvol stays on the function whose name it was created with
  --drive KEY=VALUE,... name=Nvme0n1,size=64GiB and perhaps serial=S1,model=M,block=4096,unmap=zeroes;
                        remembered in the state folder; may be repeated
  --tick-ms N           serve requests only every N ms, as the real one does (4); default 0: at once
  --snap on|off         NVIDIA SNAP-4 function management (default on)
  --vfs N               virtual functions (default 4, at most 250, as a BlueField with hot-plug)
  --hotplug N           how many functions can be hot-plugged (default 8)
  --sysfs ROOT          show functions as PCI devices below ROOT/sys/bus/pci
  --nbd-dir DIR         an NBD server on DIR/<uuid>.sock for each exposed namespace
  --ready-fd N          write a byte there when ready; a line "ready ADDRESS..." goes to stdout in any case

Control calls, over the same sockets: sim_dump, sim_read, sim_write, sim_fill, sim_latency, sim_fault_add,
sim_fault_clear. docs/simulator.md describes them and where the simulator differs from the real thing.
)";
}

}  // namespace vnvme::sim
