/** Types of told.js: which event carries what. */

export declare class Told<Events> extends EventTarget {
  addEventListener<Name extends keyof Events & string>(
    name: Name,
    heard: (event: CustomEvent<Events[Name]>) => void,
    options?: AddEventListenerOptions,
  ): void;
  addEventListener(name: string, heard: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
  protected tell<Name extends keyof Events & string>(name: Name, detail: Events[Name]): void;
}
