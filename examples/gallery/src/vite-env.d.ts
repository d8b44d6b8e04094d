/// <reference types="vite/client" />

interface ImportMetaEnv {
  readonly VITE_TRICE_APP_ID?: string;
  readonly VITE_TRICE_SERVER?: string;
}
