// The type of a dashboard file: Grafana's types with the options of each panel plugin in use.
import type { AnnotationQuery, Dashboard, DataQuery, FieldConfig, FieldConfigSource, GraphFieldConfig, Panel, RowPanel } from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as StateTimelineFieldConfig,
  Options as StateTimelineOptions,
} from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON holds the values of enums, not the enums.
type Json<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T : { [K in keyof T]: Json<T[K]> };

// Members that the Prometheus data source adds to a query; the schema package has no type for them.
interface PrometheusQuery extends DataQuery {
  expr: string;
  legendFormat: string;
  range?: boolean;
  instant?: boolean;
  editorMode?: 'code' | 'builder';
}

interface PrometheusAnnotation extends Omit<AnnotationQuery, 'target'> {
  target: PrometheusQuery;
  useValueForTime: boolean;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
}

interface Typed<Name extends string, Options, Custom> extends Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> {
  type: Name;
  options: Options;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfig, 'custom'> & { custom: Custom } };
  targets: PrometheusQuery[];
}

type AnyPanel =
  | RowPanel
  | Typed<'timeseries', TimeSeriesOptions, GraphFieldConfig>
  | Typed<'stat', StatOptions, Record<string, never>>
  | Typed<'state-timeline', StateTimelineOptions, StateTimelineFieldConfig>;

interface OurDashboard extends Omit<Dashboard, 'panels' | 'annotations'> {
  panels: AnyPanel[];
  annotations: { list: PrometheusAnnotation[] };
}

export type DashboardFile = Json<OurDashboard>;
