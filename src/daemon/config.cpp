#include "daemon/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include "core/json.hpp"
#include "core/text.hpp"
#include "dpu/kalray/slots.hpp"

namespace vnvme::daemon {
namespace {

using Names = std::vector<std::string>;

// One object of the file. Remembers what is wrong instead of stopping, so that one run tells all.
class Section {
 public:
  Section(const Json& object, std::string path, const std::string& file, std::vector<std::string>& problems)
      : object_(object), path_(std::move(path)), file_(file), problems_(problems) {}

  void only(const Names& known) {
    for (auto it = object_.begin(); it != object_.end(); ++it)
      if (std::find(known.begin(), known.end(), it.key()) == known.end())
        complain(it.key(), "is not a known key; accepted here: " + join(known, ", "));
  }
  [[nodiscard]] bool has(const std::string& key) const { return object_.contains(key); }
  std::string text(const std::string& key, std::string otherwise) {
    auto it = object_.find(key);
    if (it == object_.end()) return otherwise;
    if (it->is_string() && it->get_ref<const std::string&>().find('\0') == std::string::npos)
      return it->get<std::string>();
    complain(key, "is " + shown(*it) + "; accepted: a text in quotes");
    return otherwise;
  }
  std::string path(const std::string& key, const std::string& otherwise, bool may_be_empty = false) {
    std::string value = text(key, otherwise);
    if (value.empty() && may_be_empty) return value;
    if (!value.starts_with('/'))
      complain(key, "is " + shown(value) + "; accepted: a path that begins with /");
    if (value.size() > 4000) complain(key, "is longer than 4000 bytes");
    return value;
  }
  std::string socket(const std::string& key, const std::string& otherwise) {
    std::string value = path(key, otherwise);
    if (value.size() >= sizeof(sockaddr_un::sun_path))
      complain(key, "is " + std::to_string(value.size()) +
                        " bytes long; the kernel accepts socket paths up to " +
                        std::to_string(sizeof(sockaddr_un::sun_path) - 1));
    return value;
  }
  std::string one_of(const std::string& key, const std::string& otherwise, const Names& accepted) {
    std::string value = text(key, otherwise);
    if (std::find(accepted.begin(), accepted.end(), value) != accepted.end()) return value;
    complain(key, "is " + shown(value) + "; accepted: " + join(accepted, ", "));
    return otherwise;
  }
  std::size_t number(const std::string& key, std::size_t otherwise, std::size_t most) {
    auto it = object_.find(key);
    if (it == object_.end()) return otherwise;
    if (it->is_number_unsigned() && it->get<std::uint64_t>() <= most) return it->get<std::size_t>();
    complain(key, "is " + shown(*it) + "; accepted: a whole number from 0 to " + std::to_string(most));
    return otherwise;
  }
  // An object whose members are texts; empty when it is absent or wrong.
  std::vector<std::pair<std::string, std::string>> texts(const std::string& key, std::size_t most) {
    std::vector<std::pair<std::string, std::string>> all;
    auto it = object_.find(key);
    if (it == object_.end()) return all;
    bool fine = it->is_object() && it->size() <= most;
    if (fine)
      for (auto member = it->begin(); member != it->end(); ++member) {
        fine = fine && member->is_string();
        if (fine) all.emplace_back(member.key(), member->get<std::string>());
      }
    if (fine) return all;
    complain(key, "is " + shown(*it) + "; accepted: an object of at most " + std::to_string(most) +
                      " texts, e.g. {\"volume_09\": \"0000:04:00.2\"}");
    return {};
  }
  // The object below that key; an empty one when it is absent or wrong.
  Section below(const std::string& key) {
    static const Json nothing = Json::object();
    auto it = object_.find(key);
    if (it == object_.end()) return {nothing, path_ + key + ".", file_, problems_};
    if (it->is_object()) return {*it, path_ + key + ".", file_, problems_};
    complain(key, "is " + shown(*it) + "; accepted: an object in {}");
    return {nothing, path_ + key + ".", file_, problems_};
  }
  std::vector<Section> list(const std::string& key, std::size_t most) {
    std::vector<Section> all;
    auto it = object_.find(key);
    if (it == object_.end()) return all;
    if (!it->is_array() || it->size() > most) {
      complain(key, "is " + shown(*it) + "; accepted: a list in [] of at most " + std::to_string(most) +
                        " objects");
      return all;
    }
    for (std::size_t i = 0; i < it->size(); ++i) {
      std::string name = key + "[" + std::to_string(i) + "]";
      const Json& entry = (*it)[i];
      if (entry.is_object())
        all.emplace_back(entry, path_ + name + ".", file_, problems_);
      else
        complain(name, "is " + shown(entry) + "; accepted: an object in {}");
    }
    return all;
  }
  void complain(const std::string& key, const std::string& what) {
    if (problems_.size() < 32) problems_.push_back(file_ + ": " + printable(path_ + key, 120) + " " + what);
  }
  static std::string shown(const Json& value) { return printable(dump_json(value), 80); }

 private:
  const Json& object_;
  std::string path_;
  const std::string& file_;
  std::vector<std::string>& problems_;
};

bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string::npos;
}

// What only a card of Kalray has.
void read_card(Section& s, DpuConfig& dpu) {
  const bool card = dpu.uri.starts_with("kalray:");
  for (const auto* key : {"credentials", "functions"})
    if (!card && s.has(key)) s.complain(key, "is for DPUs at kalray:ADDRESS:PORT only; leave it out");
  if (!card) return;
  if (!s.has("credentials"))
    s.complain(
        "credentials",
        "is missing; accepted: the path of a file with one line user:password that only root may read");
  else
    dpu.credentials = s.path("credentials", "");
  if (!dpu.listener.empty()) s.complain("listener", "is for DPUs without PCI functions; leave it out");
  dpu.functions = s.texts("functions", 64);
  if (auto slots = dpu::kalray::make_slots(dpu.functions); !slots)
    s.complain("functions", slots.error().text);
}

void read_dpus(Section& top, Config& config) {
  std::set<std::string> names, uris;
  for (Section& s : top.list("dpus", kMostDpus)) {
    s.only({"name", "uri", "listener", "clear_method", "credentials", "functions"});
    DpuConfig dpu{s.text("name", ""), s.text("uri", ""), s.text("listener", ""), "", "", {}};
    if (s.has("clear_method"))
      dpu.clear_method = s.one_of("clear_method", "", {"unmap", "write_zeroes", "none"});
    if (!good_name(dpu.name))
      s.complain("name",
                 "is " + Section::shown(dpu.name) + "; accepted: 1 to 32 letters, digits, '-', '_', '.'");
    else if (!names.insert(dpu.name).second)
      s.complain("name", "is " + Section::shown(dpu.name) + ", as another DPU's; each needs its own");
    if (auto ok = check_dpu_uri(dpu.uri); !ok)
      s.complain("uri", ok.error().text);
    else if (!uris.insert(dpu.uri).second)
      s.complain("uri", "is " + Section::shown(dpu.uri) + ", as another DPU's; one DPU is named once");
    if (!dpu.listener.empty())
      if (auto ok = check_uri(dpu.listener); !ok) s.complain("listener", ok.error().text);
    read_card(s, dpu);
    config.dpus.push_back(std::move(dpu));
  }
}

void read_all(Section top, Config& config) {
  top.only({"run_dir", "state_path", "state_copy_path", "smapi_socket", "admin_socket", "marker_path",
            "reservations_path", "log", "dpus", "host", "domains", "toolstack", "spare_functions", "xapi"});
  config.run_dir = top.path("run_dir", config.run_dir);
  config.state_path = top.path("state_path", config.state_path);
  config.state_copy_path = top.path("state_copy_path", config.state_copy_path, true);
  if (config.state_copy_path == config.state_path)
    top.complain("state_copy_path",
                 "is the state_path itself; a second copy needs another path, best on another disk");
  config.smapi_socket = top.socket("smapi_socket", config.run_dir + "/smapi.sock");
  config.admin_socket = top.socket("admin_socket", config.run_dir + "/admin.sock");
  if (config.smapi_socket == config.admin_socket)
    top.complain("admin_socket", "is the smapi_socket too; each needs its own path");
  config.marker_path = top.path("marker_path", config.run_dir + "/marker");
  config.reservations_path = top.path("reservations_path", config.run_dir + "/reservations");

  Section log = top.below("log");
  log.only({"level", "path"});
  config.log_level =
      log::parse_level(log.one_of("level", "info", {"debug", "info", "warning", "error", "off"}))
          .value_or(log::Level::info);
  config.log_path = log.text("path", config.log_path);
  if (config.log_path != "-" && !config.log_path.starts_with('/'))
    log.complain("path", "is " + Section::shown(config.log_path) +
                             "; accepted: \"-\" (stderr) or a path that begins with /");

  Section host = top.below("host");
  host.only({"kind", "root"});
  config.host = host.one_of("kind", "sysfs", {"sysfs", "fake"}) == "fake" ? HostKind::fake : HostKind::sysfs;
  config.host_root = host.path("root", config.host_root);
  Section domains = top.below("domains");
  domains.only({"kind", "root"});
  bool scripted = domains.one_of("kind", "xenstore", {"xenstore", "scripted"}) == "scripted";
  config.domains = scripted ? DomainsKind::scripted : DomainsKind::xenstore;
  config.domains_root = domains.path("root", config.domains_root);
  bool xapi = top.one_of("toolstack", "none", {"none", "xapi"}) == "xapi";
  config.toolstack = xapi ? ToolstackKind::xapi : ToolstackKind::none;
  config.spare_functions = top.number("spare_functions", config.spare_functions, kMostSpares);
  Section api = top.below("xapi");
  api.only({"uri"});
  config.xapi_uri = api.text("uri", config.xapi_uri);
  if (auto uri = check_uri(config.xapi_uri); !uri) api.complain("uri", uri.error().text);
  read_dpus(top, config);
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Result<std::string> read_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail(errno == ENOENT ? Errc::not_found : Errc::io, path + ": " + std::strerror(errno));
  std::string text(kConfigLimit + 1, '\0');
  std::size_t have = 0;
  ssize_t n = 0;
  while (have < text.size() && (n = ::read(fd, text.data() + have, text.size() - have)) > 0)
    have += static_cast<std::size_t>(n);
  int error = n < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) return fail(Errc::io, path + ": " + std::strerror(error));
  if (have > kConfigLimit)
    return fail(Errc::invalid_argument, path + ": larger than 1 MiB, this is no configuration");
  text.resize(have);
  return text;
}

}  // namespace

Result<void> check_dpu_uri(const std::string& uri) {
  if (!uri.starts_with("kalray:")) {
    auto known = check_uri(uri);
    if (!known) known.error().text += ", or \"kalray:ADDRESS:PORT\"";
    return known;
  }
  if (check_uri("tcp:" + uri.substr(7))) return {};
  return fail(Errc::invalid_argument,
              "is " + Section::shown(uri) + "; accepted: \"kalray:ADDRESS:PORT\" with a numeric address");
}

Result<void> check_uri(const std::string& uri) {
  std::string bad = "is " + Section::shown(uri) +
                    "; accepted: \"unix:/path\" or \"tcp:ADDRESS:PORT\" with a numeric address";
  if (uri.starts_with("unix:/")) {
    if (uri.size() - 5 >= sizeof(sockaddr_un::sun_path) || uri.find('\0') != std::string::npos)
      return fail(Errc::invalid_argument, bad + "; this path is too long for a socket");
    return {};
  }
  auto colon = uri.rfind(':');
  if (!uri.starts_with("tcp:") || colon < 5) return fail(Errc::invalid_argument, bad);
  std::string host = uri.substr(4, colon - 4), port = uri.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  boost::system::error_code no_address;
  boost::asio::ip::make_address(host, no_address);
  std::uint16_t number = 0;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (no_address || error != std::errc{} || end != port.data() + port.size() || number == 0)
    return fail(Errc::invalid_argument, bad);
  return {};
}

Result<Config> parse_config(std::string_view text, const std::string& file) {
  Config config;
  config.file = file;
  Json root = Json::object();
  if (!blank(text)) {
    auto parsed = parse_json(text, {kConfigLimit, 8, 10000, 8192});
    if (!parsed) {
      return fail(Errc::invalid_argument,
                  file + ": " + parsed.error().text +
                      "; look for a missing or additional comma, quote or bracket there");
    }
    root = std::move(*parsed);
  }
  if (!root.is_object())
    return fail(Errc::invalid_argument, file + ": the whole file must be one JSON object in {}");
  std::vector<std::string> problems;
  read_all(Section(root, "", config.file, problems), config);
  if (!problems.empty()) return fail(Errc::invalid_argument, join(problems, "\n"));
  return config;
}

Result<Config> load_config(const std::string& path, bool must_exist) {
  auto text = read_file(path);
  if (!text && text.error().code == Errc::not_found && !must_exist) return parse_config("", path);
  if (!text) return fail(text.error());
  return parse_config(*text, path);
}

}  // namespace vnvme::daemon
