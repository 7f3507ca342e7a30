#include "daemon/wiring.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "dpu/registry.hpp"
#include "host/block_devices.hpp"
#include "host/fake_pci.hpp"
#include "host/marker_backend.hpp"
#include "host/sysfs_pci.hpp"
#include "host/xenstore_domains.hpp"
#include "host/xenstore_socket.hpp"
#include "service/reservation_taps.hpp"
#include "service/services.hpp"
#include "state/sqlite_store.hpp"
#include "xapi/client.hpp"
#include "xapi/watcher.hpp"

namespace vnvme::daemon {
namespace {

// "/" and "" are the running system for those who prepend the root to a path.
std::string prefix_of(const std::string& root) {
  return root == "/" ? std::string() : root;
}

std::unique_ptr<host::Pci> make_pci(const Config& config) {
  if (config.host == HostKind::fake) return std::make_unique<host::FakePci>(prefix_of(config.host_root));
  return std::make_unique<host::SysfsPci>(prefix_of(config.host_root));
}

std::string xenstored_socket(const Config& config) {
  return prefix_of(config.domains_root) + host::kXenstoredSocket;
}

std::unique_ptr<host::Domains> make_domains(const Config& config) {
  if (config.domains == DomainsKind::scripted)
    return std::make_unique<host::ScriptedDomains>(config.domains_root);
  return std::make_unique<host::XenstoreDomains>(
      std::make_unique<host::XenstoreSocket>(xenstored_socket(config)));
}

// Only where there is a xenstore.
std::unique_ptr<host::MarkerBackend> make_markers(const Config& config, EventLog& events) {
  if (config.domains == DomainsKind::scripted) return nullptr;
  return std::make_unique<host::MarkerBackend>(
      xenstored_socket(config), [&events](std::string_view level, const std::string& object,
                                          const std::string& text) { events.add(level, object, text); });
}

// XAPI's client and the watch over its database; both null where functions are reserved by hand.
struct XapiSide {
  std::unique_ptr<xapi::Client> client;
  std::unique_ptr<xapi::Watcher> watcher;
};
Result<XapiSide> make_xapi(boost::asio::io_context& io, const Config& config) {
  XapiSide out;
  if (config.toolstack == ToolstackKind::none) return out;
  auto connector = rpc::make_connector(io, config.xapi_uri);
  if (!connector) return fail(std::move(connector.error()));
  out.client = std::make_unique<xapi::Client>(io, std::move(*connector), xapi::Client::Options());
  out.watcher = std::make_unique<xapi::Watcher>(io, *out.client, xapi::Watcher::Options());
  return out;
}

class RealBackend final : public Backend {
 public:
  RealBackend(boost::asio::io_context& io, const Config& config, EventLog& events,
              std::unique_ptr<Store> store, XapiSide xapi)
      : executor_(io.get_executor()),
        store_(std::move(store)),
        pci_(make_pci(config)),
        reservations_(config.reservations_path, pci_->boot_id(), events),
        tapped_store_(*store_, reservations_, dpus(config)),
        domains_(make_domains(config)),
        markers_(make_markers(config, events)),
        xapi_(std::move(xapi)),
        services_(ports(io, config, events), options(config)) {}

  Task<Result<void>> start() override {
    if (markers_) {
      auto run = [markers = markers_.get()]() -> Task<void> { co_await markers->run(); };
      boost::asio::co_spawn(executor_, std::move(run), boost::asio::detached);
    }
    return services_.start();
  }

  Task<void> stop(Deadline deadline) override {
    services_.stop();
    if (markers_) markers_->stop();
    if (xapi_.client) {
      // Before its connections end: XAPI keeps a session for a day.
      co_await xapi_.client->logout(deadline.capped(std::chrono::seconds(1)));
      xapi_.client->shutdown();
    }
    Timer tick(executor_);
    auto idle = [this] { return services_.idle() && !(markers_ && markers_->running()); };
    while (!idle() && !deadline.passed()) {
      tick.expires_after(std::chrono::milliseconds(10));
      co_await tick.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    // The store closes with this object. Should something still run, the process leaves without destructors:
    // each commit is durable by itself, only the last second copy is then a second old.
  }
  smapi::Handler& handler() override { return services_; }
  AdminHandler& admin() override { return services_; }

 private:
  service::Ports ports(boost::asio::io_context& io, const Config& config, EventLog& events) {
    service::Ports out{executor_, tapped_store_, *pci_, *domains_, blocks_, events, opener(io, config)};
    out.xapi = xapi_.client.get();
    out.watch = xapi_.watcher.get();
    return out;
  }
  static service::Options options(const Config& config) {
    service::Options o;
    for (const DpuConfig& d : config.dpus) o.dpu_names[d.name] = DpuId(d.uri);
    o.marker_path = config.marker_path;
    o.spare_functions = config.spare_functions;
    return o;
  }
  // URIs may also come from a PBD; what the file says beside the URI belongs to that URI.
  std::function<Result<std::unique_ptr<dpu::Dpu>>(const DpuId&)> opener(boost::asio::io_context& io,
                                                                        const Config& config) {
    return [this, &io, dpus = config.dpus](const DpuId& id) -> Result<std::unique_ptr<dpu::Dpu>> {
      dpu::Options o;
      o.uri = id.str();
      for (const DpuConfig& d : dpus)
        if (d.uri == id.str()) {
          o.listener = d.listener;
          o.clear_method = d.clear_method;
          o.credentials = d.credentials;
          o.functions = d.functions;
        }
      auto made = dpu::make_dpu(io, o);
      if (!made) return made;
      return service::tap(std::move(*made), id, reservations_);
    };
  }
  static std::set<DpuId> dpus(const Config& config) {
    std::set<DpuId> out;
    for (const DpuConfig& d : config.dpus) out.insert(DpuId(d.uri));
    return out;
  }

  boost::asio::any_io_executor executor_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<host::Pci> pci_;
  service::ReservationFile reservations_;
  service::TappedStore tapped_store_;
  std::unique_ptr<host::Domains> domains_;
  std::unique_ptr<host::MarkerBackend> markers_;
  XapiSide xapi_;
  host::LocalBlockDevices blocks_;
  service::Services services_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_backend(boost::asio::io_context& io, const Config& config,
                                              EventLog& events) {
  state::StoreOptions options;
  options.path = config.state_path;
  options.copy_path = config.state_copy_path;
  // Not restored from its copy by itself: what was committed after the copy was made would be missing, and
  // XAPI would forget it. Without a state file SRs are rebuilt from the DPU; docs/configuration.md tells the
  // rest.
  auto store = state::open_sqlite_store(io.get_executor(), std::move(options));
  if (!store) return fail(store.error());
  auto xapi = make_xapi(io, config);
  if (!xapi) return fail(std::move(xapi.error()));
  return std::make_unique<RealBackend>(io, config, events, std::move(*store), std::move(*xapi));
}

}  // namespace vnvme::daemon
